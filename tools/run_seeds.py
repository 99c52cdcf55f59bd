#!/usr/bin/env python
"""Train one config with several seeds: mean ± standard deviation, overall and of each class.

Each run is a `tools/train.py`, judged at its end as the config says. The same command goes on where
it was stopped: a run that is finished is skipped, an unfinished one resumed; runs with other
settings need another --work-dir. A config that starts from another's checkpoint starts from the
same seed's, so run that one first. Writes WORK_DIR/results.json and results.md.

example: python tools/run_seeds.py configs/zegclip_voc_inductive.py --seeds 5 --jobs 4 --amp
"""

from __future__ import annotations

import json
import shlex
import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from support.markdown_table import markdown, number
from support.runs import Run, command_line, run_all

from zegclip.engine import start_up
from zegclip.engine.config_files import find_config, read_config, use_mixed_precision
from zegclip.engine.config_options import ConfigOptions
from zegclip.engine.launch import run
from zegclip.errors import InputError
from zegclip.evaluation import COLUMNS, protocol_fingerprint
from zegclip.evaluation.protocol import ALIKE, digest
from zegclip.files import PROJECT_ROOT, write_text

BATCH = "train_dataloader.batch_size"


def runs_of(path: Path, args: Namespace) -> list[Run]:
    """The runs of a config, one a seed.

    Raises:
        InputError: it starts from a run that is not there, or its batch cannot be shared.
    """
    config = read_config(path)
    given, options = config.get("load_from"), dict(args.cfg_options or {})
    if args.amp:
        before = dict(config.get("optim_wrapper") or {})
        use_mixed_precision(config)
        after = dict(config.get("optim_wrapper") or {})
        changed = {key: value for key, value in after.items() if value != before.get(key)}
        options = {f"optim_wrapper.{key}": value for key, value in changed.items()} | options
    batch = (config.get("train_dataloader") or {}).get("batch_size")
    if batch and args.gpus > 1 and BATCH not in options:
        options[BATCH], left = divmod(batch, args.gpus)
        if left:
            raise InputError(
                f"--gpus {args.gpus}: {path.stem}'s batch of {batch} cannot be shared among them: "
                f"say each one's with --cfg-options {BATCH}=N"
            )
    runs = []
    for seed in range(args.seeds):
        start = None
        if given and "load_from" not in options:
            base, file = Path(given).parent.name, Path(given).name
            start = args.work_dir.parent / base / f"seed_{seed}" / file
            if not start.is_file():
                raise InputError(
                    f"{path.stem} starts from {base}, and there is no {start}: run "
                    f"`python tools/run_seeds.py configs/{base}.py --seeds {args.seeds}` (and the "
                    "other options) first, or name one start for all seeds with --cfg-options "
                    "load_from=PATH"
                )
        inside = path.is_relative_to(PROJECT_ROOT)
        name = str(path.relative_to(PROJECT_ROOT) if inside else path)
        folder = args.work_dir / f"seed_{seed}"
        settings = dict(gpus=args.gpus, resume=True, unseen=args.unseen or ())
        runs.append(Run(name, seed, options, folder, start, **settings))
    return runs


def statistics_of(runs: Sequence[Mapping[str, float]]) -> dict[str, dict[str, float | None]]:
    """``mean``, ``std`` (n - 1; ``None`` of one run), ``min`` and ``max`` over runs, by name.

    A run that lacks a name does not count there.
    """
    table = pd.DataFrame(runs).astype(float).agg(["mean", "std", "min", "max"])
    return json.loads(table.to_json(orient="columns"))


def summary(reports: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Statistics of the scores and of each class's IoU (with its split), in percent."""
    scores = statistics_of([{k: each[k] for k in COLUMNS if k in each} for each in reports])
    classes = [each["per_class"] for each in reports]
    ious = statistics_of([{name: entry["IoU"] for name, entry in each.items()} for each in classes])
    splits = {name: entry["split"] for each in classes for name, entry in each.items()}
    return {
        "scores": scores,
        "per_class": {name: {"split": splits[name], **ious[name]} for name in ious},
    }


def tables(summary: Mapping[str, Any], seeds: int) -> str:
    """A summary as Markdown: the scores, then the classes, unseen ones first."""

    def mean(entry: Mapping[str, Any]) -> str:
        return number([entry[key] for key in ("mean", "std") if entry.get(key) is not None] or None)

    scores = [mean(summary["scores"].get(key, {})) for key in COLUMNS]
    classes = [
        [name, entry["split"], mean(entry), number(entry["min"]), number(entry["max"])]
        for name, entry in summary["per_class"].items()
    ]
    classes.sort(key=lambda row: row[1] != "unseen")
    overall = markdown([["seeds", *COLUMNS.values()], [str(seeds), *scores]])
    return f"{overall}\n\n{markdown([['class', '', 'IoU', 'lowest', 'highest'], *classes])}\n"


def parse_args(argv: Sequence[str]) -> Namespace:
    """What was typed; the numbers are at least one, and there are as many GPUs."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("config")
    parser.add_argument("--seeds", type=int, default=5, help="seeds 0 .. N-1 (default: 5)")
    parser.add_argument(
        "--gpus", type=int, default=1, help="that train a seed together, sharing the config's batch"
    )
    parser.add_argument("--jobs", type=int, default=1, help="seeds at once, each on its own GPUs")
    parser.add_argument("--amp", action="store_true", help="mixed precision, as train.py --amp")
    parser.add_argument("--cfg-options", nargs="+", action=ConfigOptions, metavar="KEY=VALUE")
    parser.add_argument(
        "--unseen", nargs="+", metavar="CLASS", help="another split, as train.py --unseen"
    )
    parser.add_argument("--work-dir", type=Path, help="default: work_dirs/seeds/CONFIG_NAME")
    args = parser.parse_args(argv)
    for name in ("seeds", "gpus", "jobs"):
        if getattr(args, name) < 1:
            parser.error(f"--{name} {getattr(args, name)}: at least one")
    if torch.cuda.is_available() and args.jobs * args.gpus > torch.cuda.device_count():
        parser.error(
            f"--gpus {args.gpus} for each of --jobs {args.jobs}: there are "
            f"{torch.cuda.device_count()}"
        )
    return args


def check(runs: Sequence[Run], folder: Path) -> None:
    """Refuse to begin what cannot be trained, or would replace other runs.

    Raises:
        InputError: data or weights are missing, or the folder holds runs with other settings.
    """
    first = runs[0].resolved()
    first.load_from = str(runs[0].start) if runs[0].start else first.get("load_from")
    start_up.check(first, ["train", "val"])
    if others := [each.folder.name for each in runs if each.began_otherwise()]:
        raise InputError(
            f"{folder} holds runs with other settings, or from another start "
            f"({', '.join(others)}): name another --work-dir, or remove them"
        )


def results_of(runs: Sequence[Run], folder: Path, command: str) -> dict[str, Any]:
    """The content of results.json.

    Args:
        runs: finished.
        folder: of all runs, for the message.
        command: that made them.

    Raises:
        InputError: they were judged by different protocols, or trained on different images.
    """
    reports = [report for each in runs if (report := each.report())]
    if len(protocols := {protocol_fingerprint(each["protocol"]) for each in reports}) > 1:
        raise InputError(
            f"{folder}: the seeds were judged by different protocols (tools/summarize.py "
            "says in what they differ): remove the older runs"
        )
    for key, text in ALIKE.items():
        if len({digest(each["protocol"][key]) for each in reports if key in each["protocol"]}) > 1:
            raise InputError(f"{folder}: the seeds differ in {text}: remove the older runs")
    return {
        "command": command,
        "protocol": protocols.pop(),
        **summary(reports),
        "runs": [
            {**(each.record() or {}), "command": command_line(each), "per_class": r["per_class"]}
            for each, r in zip(runs, reports)
        ],
    }


def main(argv: list[str] | None = None) -> None:
    typed = sys.argv[1:] if argv is None else argv
    args = parse_args(typed)
    path = find_config(args.config).resolve()
    args.work_dir = (args.work_dir or PROJECT_ROOT / "work_dirs/seeds" / path.stem).resolve()
    runs = runs_of(path, args)
    check(runs, args.work_dir)
    if failed := run_all(runs, args.jobs):
        raise InputError(
            f"{path.stem}, seed {failed[0].seed}, failed: see {failed[0].folder}/output.txt"
        )
    command = shlex.join(["python", "tools/run_seeds.py", *typed])
    results = results_of(runs, args.work_dir, command)
    text = tables(results, len(runs))
    contents = {"results.json": json.dumps(results, indent=2) + "\n", "results.md": text}
    for name, content in contents.items():
        write_text(args.work_dir / name, content.replace(str(args.work_dir), "WORK_DIR"))
    print(f"{text}\nwritten: {args.work_dir}/results.json and results.md")


if __name__ == "__main__":
    run(main)
