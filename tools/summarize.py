#!/usr/bin/env python
"""Put the report.json of many runs into one table, beside the published numbers.

Runs of one config that were trained alike (but for the seed) and judged by one protocol are one
row, mean ± standard deviation over the seeds. A test of a checkpoint before a training's end (the
best one, or of a run that was stopped early) is another row, which says the iteration. What only a
validation before the end reports is left out and named.

example: python tools/summarize.py work_dirs --format markdown > results.md
"""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from mmengine.config import Config
from results_table import one_cell, published, read, record
from support.markdown_table import markdown, mean_std

from zegclip.clip import find_templates
from zegclip.datasets import (
    COCOStuff171Dataset,
    Context59Dataset,
    Context60Dataset,
    VOC20Dataset,
)
from zegclip.engine.config_files import learns, read_config, use_mixed_precision
from zegclip.engine.launch import run
from zegclip.errors import InputError
from zegclip.evaluation import COLUMNS, protocol_fingerprint, training_fingerprint
from zegclip.evaluation.protocol import ALIKE, OF_THE_RUN, digest
from zegclip.evaluation.training import tested_otherwise, training_settings
from zegclip.files import PROJECT_ROOT

# The unseen classes that published numbers are of, by data set.
SPLITS = {
    kind.METAINFO["dataset_name"]: set(kind.METAINFO["unseen"])
    for kind in (VOC20Dataset, COCOStuff171Dataset, Context60Dataset, Context59Dataset)
}
ROW = ["config", "protocol", "training", "early", "group"]  # columns that its runs share
SCORES = [*COLUMNS, "mIoU"]  # (mIoU: of the cross-dataset setting)
HEADING = ["config", "setting", "runs", *COLUMNS.values(), "published", "protocol"]


def note(text: str) -> None:
    """Print a line to stderr: the table, on stdout, may go into a file."""
    print(text, file=sys.stderr)


def read_report(path: Path) -> dict[str, Any]:
    """One ``report.json`` as a row: scores, and which run it is of.

    Raises:
        ValueError, KeyError, TypeError: it is none of ours.
    """
    content = json.loads(path.read_text(encoding="utf-8"))
    protocol = content["protocol"]
    scores = {key: float(content[key]) for key in SCORES if key in content}
    if not scores or not {"dataset", "setting"} <= set(protocol):
        raise ValueError("no scores, or no protocol")
    config = protocol.get("config") or path.parent.name
    iteration, max_iters = protocol.get("iteration"), protocol.get("max_iters")
    if predictions := protocol.get("predictions"):  # the config is only the data set's
        config = f"{predictions} (predictions, {config})"
    return {
        **dict.fromkeys(SCORES),
        **{key: protocol.get(key) for key in ("seed", "iteration", "max_iters", "code", "stage")},
        **scores,
        "config": config,
        "protocol": protocol_fingerprint(protocol),
        # Runs of which nothing says how they were trained are not averaged.
        "training": protocol.get("training") or str(path.parent),
        "early": bool(max_iters) and (iteration or 0) < max_iters,  # of a checkpoint before the end
        "folder": str(path.parent),
        "content": protocol,
    }


def read_reports(folders: Sequence[Path]) -> pd.DataFrame:
    """All finished runs whose ``report.json`` is in or below the folders, one a row.

    A run that left several reports counts once: where it was tested, by that.

    Raises:
        InputError: there is none.
    """
    rows = []
    paths = {path.resolve() for folder in folders for path in folder.rglob("report.json")}
    for path in sorted(paths):
        try:
            row = read_report(path)
        except (OSError, ValueError, KeyError, TypeError) as error:
            note(f"warning: {path} is no report of ours and is left out ({error!r})")
            continue
        if row["early"] and row["stage"] == "validation":
            at = f"{row['iteration'] or 0} of {row['max_iters']}"
            note(
                f"warning: {row['folder']} is unfinished ({at} iterations) and is left out; "
                "tools/test.py reports a checkpoint of it"
            )
            continue
        rows.append(row)
    if not rows:
        where = ", ".join(map(str, folders))
        raise InputError(f"no finished run's report.json in {where} or below")
    # (Rounding on another device may flip a pixel between a run's validation and its test.)
    table = pd.DataFrame(rows)
    table["group"] = ""
    for _, runs in table.groupby(ROW[:-1]):
        told = {key: {digest(c[key]) for c in runs["content"] if key in c} for key in ALIKE}
        split = [key for key in ALIKE if len(told[key]) > 1]  # (older reports do not tell)
        # The best checkpoints of several seeds are averaged, several of one seed are not.
        tested = runs.drop_duplicates(["seed", "iteration"])
        split += ["iteration"] * bool(runs["early"].all() and tested["seed"].duplicated().any())
        for index, content in runs["content"].items():
            table.loc[index, "group"] = digest([content.get(key) for key in split])
    same_run = [*ROW, "seed", "iteration"]
    tested = table[table["stage"] == "test"].set_index(same_run).index
    validated = (table["stage"] == "validation") & table.set_index(same_run).index.isin(tested)
    return table[~validated].drop_duplicates([*same_run, *SCORES])


def cells(runs: pd.DataFrame) -> list[str]:
    """One row of the table."""
    first, records = runs.iloc[0], runs.to_dict("records")
    protocol, config = first["content"], first["config"]
    if pd.isna(first["mIoU"]):
        scores = mean_std(records)
    else:
        accuracy, mean = mean_std(records, ["pAcc", "mIoU"])
        scores = [accuracy, f"{mean} (mIoU)", "", ""]
    setting, dataset = protocol["setting"], protocol["dataset"]
    theirs = None
    pseudo_labels = protocol.get("pseudo_labels")
    if "_coco_to_" in config or SPLITS.get(dataset) == set(protocol.get("unseen") or ()):
        theirs = published(config.partition("_")[0], setting, dataset, pseudo_labels)
    setting += f" ({pseudo_labels})" * bool(pseudo_labels)
    if first["early"]:
        tested = ", ".join(f"{each:.0f}" for each in sorted(set(runs["iteration"].fillna(0))))
        setting += f" (iteration {tested} of {first['max_iters']:.0f})"
    return [config, setting, str(len(runs)), *scores, one_cell(theirs), first["protocol"]]


def differences(groups: Sequence[pd.DataFrame]) -> list[str]:
    """In what the rows of one config differ from its first row, a line for each further row."""
    lines: list[str] = []
    first: dict[str, Any] = {}
    for runs in groups:
        row = runs.iloc[0]
        base = first.setdefault(row["config"], row)
        if base is row:
            continue
        one, other = base["content"], row["content"]
        parts = [
            f"{key} ({str(one.get(key))[:40]} / {str(other.get(key))[:40]})"
            for key in sorted((set(one) | set(other)) - set(OF_THE_RUN))
            if one.get(key) != other.get(key)
        ]
        if base["training"] != row["training"]:
            parts.append("how they were trained")
        if base["early"] != row["early"]:
            parts.append("whether they were trained to the end")
        parts += [text for key, text in ALIKE.items() if one.get(key, 0) != other.get(key, 0)]
        where = f"{base['folder']} and {row['folder']}"
        lines.append(f"{row['config']}: {where} differ in {', '.join(parts)}")
    return lines


def done_as_configured(runs: pd.DataFrame) -> str:
    """What runs did otherwise than the file of their config says; empty: nothing but ``--amp``."""
    content, config = runs["content"].iloc[0], runs["config"].iloc[0]
    if runs["early"].iloc[0] or not _trained_as(config, content):
        return "not trained as configs/ says"
    cfg, trained = (
        read_config(PROJECT_ROOT / "configs" / f"{name}.py")
        for name in (config, _trained_by(config))
    )
    # (What a cross-dataset config has otherwise than the training's: VOC's own template.)
    own_settings = tested_otherwise({"settings": training_settings(trained)}, cfg)
    told = content.get("other_settings", [])
    if not told and content.get("templates") == [*find_templates(cfg.model.text_encoder.templates)]:
        told = own_settings  # (the checkpoint does not say what it was trained with)
    pipeline = json.loads(json.dumps(cfg.test_dataloader.dataset.pipeline, default=str))
    inference = json.loads(json.dumps(cfg.model.test_cfg))
    own = content.get("inference", inference)
    if (
        told != own_settings
        or content.get("fp16")
        or content.get("pipeline", pipeline) != pipeline
        or any(own[key] != value for key, value in inference.items() if key in own)
    ):
        return "not tested as configs/ says"
    return ""


def _trained_by(config: str) -> str:
    """The config of the training whose model a config tests: itself, unless it is cross-dataset."""
    method, target, _ = config.partition("_coco_to_")
    return f"{method}_coco_inductive" if target else config


def _trained_as(config: str, content: Mapping[str, Any]) -> bool:
    """Whether a config of the repository's says how a run was trained."""
    training, start = content.get("training"), content.get("start")
    name = _trained_by(config)
    files = {file.stem: file for file in (PROJECT_ROOT / "configs").glob("*.py")}
    if name not in files:  # predictions, and configs of other places
        return False
    cfg = read_config(files[name])
    if not learns(cfg):
        return training is None
    if training not in _fingerprints(cfg):
        return False
    if not cfg.get("load_from") or start is None:  # (older reports do not tell)
        return start is None
    begun = Path(cfg.load_from)
    first = read_config(PROJECT_ROOT / "configs" / f"{begun.parent.name}.py")
    same = start["training"] in _fingerprints(first)
    return same and begun.stem == f"iter_{start['iteration']}"


def _fingerprints(cfg: Config) -> tuple[str, str]:
    """Fingerprints of a config's training, as it is and with ``--amp``."""
    plain = training_fingerprint(cfg)
    use_mixed_precision(cfg)
    return plain, training_fingerprint(cfg)


def render(rows: list[list[str]], kind: str) -> str:
    """The table as text."""
    table = pd.DataFrame(rows, columns=HEADING)
    if kind == "csv":
        return table.to_csv(index=False)
    return (
        markdown([HEADING, *rows]) if kind == "markdown" else table.to_string(index=False)
    ) + "\n"


def main(argv: list[str] | None = None) -> None:
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("work_dirs", nargs="+", type=Path, metavar="WORK_DIR", help="and below it")
    parser.add_argument("--format", choices=("table", "markdown", "csv"), default="table")
    parser.add_argument(
        "--record",
        action="store_true",
        help="what was trained as configs/ says into docs/results/measured.json and its pages",
    )
    args = parser.parse_args(argv)
    reports = read_reports(args.work_dirs)
    groups = [runs.sort_values("seed") for _, runs in reports.groupby(ROW)]
    print(render([cells(runs) for runs in groups], args.format), end="")
    for line in differences(groups):
        note(f"note: {line}")
    for runs in groups:
        for seed in runs["seed"][runs["seed"].duplicated()].dropna().unique():
            note(f"note: {runs['config'].iloc[0]}: seed {seed:.0f} is counted twice")
    if args.record:
        own = []
        for runs in groups:
            if otherwise := done_as_configured(runs):
                config, folders = runs["config"].iloc[0], ", ".join(runs["folder"])
                note(f"note: not recorded: {config} of {folders}: {otherwise}")
            else:
                own.append(runs)
        if not own:
            raise InputError("nothing is recorded: no run was done as its file in configs/ says")
        if any(runs["seed"].dropna().duplicated().any() for runs in own):
            raise InputError("not recorded, because a seed is there twice: name one's folder")
        if differences(own):
            raise InputError("not recorded, because a config has several rows: name one's folders")
        measured = read("measured")
        for runs in own:
            keep = ["seed", "iteration", "code", *SCORES]
            entry = json.loads(runs[keep].dropna(axis=1, how="all").to_json(orient="records"))
            measured[runs["config"].iloc[0]] = {"protocol": runs["protocol"].iloc[0], "runs": entry}
        record("measured", dict(sorted(measured.items())))


if __name__ == "__main__":
    run(main)
