#!/usr/bin/env python
"""Inductive, transductive and supervised side by side on the mini benchmark, for every method.

Trains configs/METHOD_mini_inductive.py, then METHOD_mini_transductive.py from that run's checkpoint
at half the schedule, and with --supervised the ceiling, with the same seeds (tools/train.py, a
process a run). Finished runs are kept, so that a stopped comparison goes on where it was. Writes
WORK_DIR/results.json; with --record docs/results/settings.json, which tools/results_table.py shows
in the README.
"""

from __future__ import annotations

import argparse
import json
import shlex
import signal
import sys
from pathlib import Path
from typing import Any

from zegclip.errors import InputError

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import zegclip  # noqa: F401  isort: skip  (first: prepares the stack)
import torch
from mini_benchmark.run_records import means, run_record, score_line
from mini_benchmark.training_runs import TrainingRun, only_one, train_all
from mmengine.config import Config
from rich.console import Console

from zegclip.compat import available_cores
from zegclip.engine.launch import methods_with

RESULTS = ROOT / "docs" / "results" / "settings.json"
METHODS = methods_with("mini")
console = Console(soft_wrap=True)


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: python tools/compare_settings.py --methods zegclip --seeds 1",
    )
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--seeds", type=int, default=3, help="seeds 0 .. N-1 (default: 3)")
    parser.add_argument(
        "--iterations", type=int, help="of the inductive run (default: the config's; others half)"
    )
    parser.add_argument("--supervised", action="store_true", help="train the ceiling as well")
    parser.add_argument(
        "--jobs", type=int, help="runs at a time (default: one a GPU, or one a core)"
    )
    parser.add_argument("--work-dir", type=Path, default=ROOT / "work_dirs" / "settings")
    parser.add_argument(
        "--record",
        action="store_true",
        help=f"write {RESULTS.relative_to(ROOT)}, which the README's table shows; all methods",
    )
    args = parser.parse_args(argv)
    args.typed = sys.argv[1:] if argv is None else argv
    if args.record and (set(args.methods) != set(METHODS) or args.iterations):
        parser.error("--record is for all methods and the configs as they are")
    for name in ("seeds", "iterations", "jobs"):
        least = 2 if name == "iterations" else 1  # the transductive run has half of them
        if (value := getattr(args, name)) is not None and value < least:
            parser.error(f"--{name} must be at least {least}, got {value}")
    return args


def a_run(method: str, setting: str, seed: int, args: argparse.Namespace) -> TrainingRun:
    """One training; a transductive one starts from the inductive one of its seed."""
    config = ROOT / "configs" / f"{method}_mini_{setting}.py"
    length = Config.fromfile(config).train_cfg.max_iters
    if args.iterations:
        length = args.iterations // 2 if setting == "transductive" else args.iterations
    options: dict[str, Any] = {"train_cfg.max_iters": length}
    root = args.work_dir.resolve()
    if args.iterations:  # beside runs of another length, not over them
        root /= f"{args.iterations}_iterations"
    folder = root / f"{method}_mini_{setting}" / f"seed_{seed}"
    if setting == "transductive":
        start = a_run(method, "inductive", seed, args)
        halfway = start.options["train_cfg.max_iters"] // 2
        options["load_from"] = str(start.folder / f"iter_{halfway}.pth")
    return TrainingRun(f"{method} {setting}", config, options, seed, folder)


def compare(args: argparse.Namespace) -> dict[str, Any]:
    """All runs, and what is written of them."""
    jobs = args.jobs or torch.cuda.device_count() or available_cores()
    settings = ["inductive", "transductive"] + (["supervised"] if args.supervised else [])
    rows: dict[str, dict[str, Any]] = {}

    def say(run: TrainingRun, report: dict[str, Any]) -> None:
        console.print(f"{run.name}, seed {run.seed}: {score_line(report)}")

    for setting in settings:
        runs = {
            method: [a_run(method, setting, seed, args) for seed in range(args.seeds)]
            for method in args.methods
        }
        console.rule(f"[bold]{setting}[/]")
        # Seed by seed, so that a comparison that is stopped early has some of everything.
        train_all([run for group in zip(*runs.values(), strict=True) for run in group], jobs, say)
        for method in args.methods:
            records = [run_record(run) for run in runs[method]]
            rows[f"{method}_mini_{setting}"] = {
                "method": method,
                "setting": setting,
                **means(records),
                "runs": records,
            }
    order = {method: place for place, method in enumerate(args.methods)}
    return {
        "command": shlex.join(["python", "tools/compare_settings.py", *args.typed]),
        "rows": dict(sorted(rows.items(), key=lambda item: order[item[1]["method"]])),
    }


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
    versions = {run["code"] for row in results["rows"].values() for run in row["runs"]}
    if len(versions) > 1:
        console.print(f"[yellow]these runs were made by different code: {sorted(versions)}")
    out = RESULTS if args.record else args.work_dir / "results.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    # Where the folder of runs is, is nobody's business.
    text = json.dumps(results, indent=2).replace(str(args.work_dir.resolve()), "WORK_DIR")
    out.write_text(text + "\n")
    console.print(f"written: {out}")
    if args.record:
        console.print("into the README: python tools/results_table.py --write")
    return 0


if __name__ == "__main__":
    sys.exit(main())
