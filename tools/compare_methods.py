#!/usr/bin/env python
"""The three methods side by side on the mini benchmark: same recipe, same budget, several seeds.

First a search for each method's learning rate, equally long for all, by hIoU, on a seed that the
table does not use (the validation scenes are the same); a method's ablations take its rate. Then
every variant is trained with every seed (tools/train.py, a process a run). Finished runs are kept,
so that a stopped comparison goes on where it was. Writes WORK_DIR/results.json; with --record
docs/results/mini.json, which tools/results_table.py shows in the README.
"""

from __future__ import annotations

import argparse
import json
import shlex
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zegclip.errors import InputError

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import zegclip  # noqa: F401  isort: skip  (first: prepares the stack)
import torch
from mini_benchmark.run_records import means, run_record, score_line
from mini_benchmark.step_time import seconds_per_step
from mini_benchmark.training_runs import TrainingRun, only_one, train_all
from mmengine.logging import MMLogger
from rich.console import Console

from zegclip.compat import available_cores

RESULTS = ROOT / "docs" / "results" / "mini.json"
# Of the search: no seed of the table.
SEARCH_SEED = 1000
SEARCH: list[dict[str, Any]] = [
    {"optim_wrapper.optimizer.lr": rate} for rate in (1e-3, 2e-3, 3e-3, 5e-3, 5e-4, 8e-3, 2.5e-4)
]
console = Console(soft_wrap=True)


@dataclass(frozen=True)
class Variant:
    """One row of the table.

    Attributes:
        method: whose ``configs/{method}_mini_inductive.py`` and whose searched settings it takes.
        title: what the table says.
        options: changes of the config, as ``--cfg-options`` takes them.
        leaks: whether training sees masks of unseen objects.
        published: mIoU(U) on PASCAL VOC 2012, inductive, in percent, as the paper reports it.
    """

    method: str
    title: str
    options: dict[str, Any] = field(default_factory=dict)
    leaks: bool = False
    published: float | None = None


VARIANTS = {
    "zegclip": Variant("zegclip", "ZegCLIP", published=77.8),
    "tagclip": Variant("tagclip", "TagCLIP", published=85.2),
    "tagclip_unseen_gt": Variant(
        "tagclip",
        "TagCLIP, trusty_target=unseen_gt",
        {
            "model.decode_head.trusty_target": "unseen_gt",
            "train_dataloader.dataset.pipeline.2.keep_unseen_map": True,
        },
        leaks=True,
    ),
    "ldvc": Variant("ldvc", "LDVC", published=82.3),
    "ldvc_without_lcsa": Variant(
        "ldvc", "LDVC without LCSA", {"model.decode_head.local_consensus": False}
    ),
    "ldvc_without_language_prompts": Variant(
        "ldvc", "LDVC without language prompts", {"model.text_encoder.num_prompts": 0}
    ),
}


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: python tools/compare_methods.py --variants zegclip ldvc --seeds 5",
    )
    parser.add_argument(
        "--variants",
        nargs="+",
        choices=VARIANTS,
        default=list(VARIANTS),
        metavar="NAME",
        help=f"of {', '.join(VARIANTS)} (default: all)",
    )
    parser.add_argument("--seeds", type=int, default=5, help="seeds 0 .. N-1 (default: 5)")
    parser.add_argument("--iterations", type=int, default=400, help="a run's (default: 400)")
    parser.add_argument(
        "--jobs", type=int, help="runs at a time (default: one a GPU, or one a core)"
    )
    parser.add_argument("--work-dir", type=Path, default=ROOT / "work_dirs" / "compare")
    parser.add_argument(
        "--record",
        action="store_true",
        help=f"write {RESULTS.relative_to(ROOT)}, which the README's table shows; all variants",
    )
    args = parser.parse_args(argv)
    args.typed = sys.argv[1:] if argv is None else argv
    if args.record and set(args.variants) != set(VARIANTS):
        parser.error("--record writes the whole table: leave --variants out")
    for name in ("seeds", "iterations", "jobs"):
        if (value := getattr(args, name)) is not None and value < 1:
            parser.error(f"--{name} must be at least 1, got {value}")
    return args


def budget(iterations: int) -> dict[str, Any]:
    """The changes of the config that make every run equally long."""
    return {
        "train_cfg.max_iters": iterations,
        "train_cfg.val_interval": iterations,
        "default_hooks.checkpoint.interval": iterations,
        "train_dataloader.num_workers": 1,
    }


def mini_config(method: str) -> Path:
    """The config that a method's variants change."""
    return ROOT / "configs" / f"{method}_mini_inductive.py"


def runs_folder(args: argparse.Namespace) -> Path:
    """Where runs of this budget are; those of another are kept beside it."""
    return args.work_dir.resolve() / f"{args.iterations}_iterations"


def search_runs(method: str, args: argparse.Namespace) -> list[TrainingRun]:
    """The runs that choose a method's settings."""
    return [
        TrainingRun(
            f"search {method} {index}",
            mini_config(method),
            budget(args.iterations) | candidate,
            SEARCH_SEED,
            runs_folder(args) / f"search_{method}" / str(index),
        )
        for index, candidate in enumerate(SEARCH)
    ]


def chosen(method: str, args: argparse.Namespace) -> dict[str, Any]:
    """The candidate with the highest hIoU in a method's finished search."""
    scores = [run_record(run)["hIoU"] for run in search_runs(method, args)]
    return SEARCH[scores.index(max(scores))]


def final_runs(name: str, args: argparse.Namespace) -> list[TrainingRun]:
    """The runs of one row, after the search."""
    variant = VARIANTS[name]
    options = budget(args.iterations) | chosen(variant.method, args) | variant.options
    folder = runs_folder(args) / name
    return [
        TrainingRun(name, mini_config(variant.method), options, seed, folder / f"seed_{seed}")
        for seed in range(args.seeds)
    ]


def train(runs: list[TrainingRun], jobs: int) -> None:
    """Train what is not done yet, and say so."""
    console.print(f"{len(runs)} runs, {jobs} at a time; those that are there are kept")

    def say(run: TrainingRun, report: dict[str, Any]) -> None:
        console.print(f"{run.name}, seed {run.seed}: {score_line(report)}")

    train_all(runs, jobs, say)


def learnable_parameters(run: TrainingRun) -> int:
    """How many numbers a run learned; its checkpoint holds nothing else."""
    state = torch.load(run.checkpoint, map_location="cpu", weights_only=True)["state_dict"]
    return sum(value.numel() for key, value in state.items() if key != "clip_fingerprint")


def timing(runs: dict[str, TrainingRun]) -> dict[str, float]:
    """Seconds of a training step of each variant, in turns, in this process; one CPU core."""
    torch.set_num_threads(1)
    MMLogger.get_current_instance().setLevel("WARNING")  # not how each parameter was started
    return seconds_per_step({name: run.resolved() for name, run in runs.items()})


def compare(args: argparse.Namespace) -> dict[str, Any]:
    """All runs, and what is written of them."""
    jobs = args.jobs or torch.cuda.device_count() or available_cores()
    methods = list(dict.fromkeys(VARIANTS[name].method for name in args.variants))

    console.rule("[bold]1. search[/] for each method's learning rate")
    searches = {method: search_runs(method, args) for method in methods}
    train([run for runs in searches.values() for run in runs], jobs)
    for method in methods:
        console.print(f"{method}: {chosen(method, args)}")

    console.rule("[bold]2. runs[/] of the table")
    finals = {name: final_runs(name, args) for name in args.variants}
    # Seed by seed, so that a comparison that is stopped early has some of everything.
    train([run for group in zip(*finals.values(), strict=True) for run in group], jobs)

    console.rule("[bold]3. time[/] of a step")
    seconds = timing({name: runs[0] for name, runs in finals.items()})

    results: dict[str, Any] = {
        "command": shlex.join(["python", "tools/compare_methods.py", *args.typed]),
        "iterations": args.iterations,
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "one CPU core",
        "search": {
            "chosen_by": "hIoU",
            "methods": {
                method: [
                    {"options": candidate, **run_record(run)}
                    for candidate, run in zip(SEARCH, runs, strict=True)
                ]
                for method, runs in searches.items()
            },
        },
        "variants": {},
    }
    for name, runs in finals.items():
        variant = VARIANTS[name]
        entries = [run_record(run) for run in runs]
        entry_means = means(entries)
        results["variants"][name] = {
            "title": variant.title,
            "leaks": variant.leaks,
            "published_mIoU_U_on_VOC": variant.published,
            "settings": chosen(variant.method, args) | variant.options,
            "learnable_parameters": learnable_parameters(runs[0]),
            "seconds_per_step": seconds[name],
            **entry_means,
            "runs": entries,
        }
        console.print(
            f"{variant.title:<34}{score_line({k: v['mean'] for k, v in entry_means.items()})}"
        )
    return results


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    # So that the trainings are ended too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with only_one(args.work_dir.resolve()):
            results = compare(args)
    except InputError as error:
        raise SystemExit(f"error: {error}") from None
    except KeyboardInterrupt:
        raise SystemExit("stopped; the same command goes on from here") from None
    versions = {run["code"] for entry in results["variants"].values() for run in entry["runs"]}
    if len(versions) > 1:
        console.print(f"[yellow]these runs were made by different code: {sorted(versions)}")
    out = RESULTS if args.record else args.work_dir / "results.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(results, indent=2) + "\n")
    console.print(f"written: {out}")
    if args.record:
        console.print("into the README: python tools/results_table.py --write")
    return 0


if __name__ == "__main__":
    sys.exit(main())
