#!/usr/bin/env python
"""The comparison on the mini benchmark: every row of support/comparison_rows.py, with all seeds.

First each method's learning rate is searched over the same values, by mIoU(S) on scenes and with a
seed of their own; all rows of a method take it. Then the rows are trained or tested group by group
and seed by seed, and the main ones analysed. Runs that are there, finished and alike, are skipped,
so the same command goes on where it was stopped, also in a copy of the folder. Writes
WORK_DIR/results.json and analysis.*; with --record also docs/ and the README's table of claims.

example: python tools/compare.py --groups main long --seeds 3 --jobs 4
"""

from __future__ import annotations

import json
import math
import shlex
import shutil
import signal
import sys
import time
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from pathlib import Path
from typing import Any

import analyze
from results_table import ROOT, record
from support.comparison_rows import GROUPS, LONG, ROWS, TITLES, Row, baselines
from support.markdown_table import markdown, mean_std
from support.runs import Run, command_line, run_all

from zegclip.engine.launch import run
from zegclip.errors import InputError
from zegclip.evaluation import COLUMNS
from zegclip.files import PROJECT_ROOT, replacing

RATE = "optim_wrapper.optimizer.lr"
RATES = (1e-3, 2e-3, 4e-3, 5e-4, 8e-3)
SEARCH_SEED = 1000  # none of the tables'
# Scenes that no table is made of: see MiniSceneDataset.
SEARCH_SCENES = {"val_dataloader.dataset.split": "selection"}
TESTING = {"test_dataloader.num_workers": 1, "test_dataloader.batch_size": 25}


def budget(iterations: int, points: int = 1, checkpoint: str = "") -> dict[str, Any]:
    """Options of how long is trained, and what is logged and kept of it.

    Args:
        iterations: of the training.
        points: validations, at most; the last one is at the end.
        checkpoint: the hook that saves the last one; empty: none.
    """
    points = next(each for each in range(points, 0, -1) if iterations % each == 0)
    hook = "default_hooks.checkpoint"
    kept: dict[str, Any] = {hook: None}
    if checkpoint:
        kept = {
            f"{hook}.type": checkpoint,
            f"{hook}.interval": iterations,
            f"{hook}.save_optimizer": False,
        }
    return {
        "train_cfg.max_iters": iterations,
        "train_cfg.val_interval": iterations // points,
        "default_hooks.logger.interval": max(1, iterations // 20),
        "default_hooks.pseudo_labels.interval": max(1, iterations // 20),
        "train_dataloader.num_workers": 1,
        "val_dataloader.num_workers": 1,
        "val_dataloader.batch_size": 25,
        **kept,
    }


def searches(method: str, args: Namespace) -> list[Run]:
    """The runs of which a method's learning rate is the best one's."""
    options = budget(args.iterations) | SEARCH_SCENES
    folder = args.work_dir / "search" / method
    config = ROWS[method].config
    return [
        Run(config, SEARCH_SEED, options | {RATE: rate}, folder / f"lr_{rate}") for rate in RATES
    ]


def best_rate(runs: list[Run], failed: list[Run]) -> float | None:
    """The rate of the best mIoU(S), if all are finished or have failed.

    Unseen classes have no say: whoever trains on seen classes has no masks of them.
    """
    found = {each.options[RATE]: report for each in runs if (report := each.report())}
    if not found or len(found) + sum(each in failed for each in runs) < len(runs):
        return None
    return max(found, key=lambda rate: found[rate]["mIoU_S"])


def run_of(name: str, seed: int, rate: float | None, args: Namespace) -> Run:
    """The training, or the test, that a row needs for a seed."""
    row, length, folder = ROWS[name], args.iterations, args.work_dir / name / f"seed_{seed}"
    if not row.setting:
        folder = args.work_dir / name
        return Run(row.config, None, TESTING | row.options, folder, tool="test")
    main, start = args.work_dir / row.method / f"seed_{seed}", None
    if row.retest:
        last = main / f"iter_{length}.pth"
        return Run(row.config, seed, TESTING | row.options, folder, last, "test")
    if row.half:
        start = main / f"iter_{length // 2}.pth"
        options = budget(length // 2, 8, "CheckpointHook")
    elif row.group == "main":
        options = budget(length, checkpoint="HalfwayCheckpointHook")
    elif row.group == "long":
        options = budget(LONG * length, 8, "CheckpointHook")
    else:
        options = budget(length, checkpoint="CheckpointHook" if row.analysed else "")
    return Run(row.config, seed, options | {RATE: rate} | row.options, folder, start)


def analysis_of(row: Row, trained: Run) -> Run:
    """The analysis of a training's last checkpoint."""
    last = trained.folder / f"iter_{trained.options['train_cfg.max_iters']}.pth"
    folder = trained.folder / "analysis"
    return Run(row.config, trained.seed, row.options, folder, last, "analyze")


def chosen_rows(args: Namespace) -> list[str]:
    """The rows of the groups and methods, those first that others start from.

    A row whose config is not there is left out.
    """
    names = [
        name
        for group in args.groups
        for name, row in ROWS.items()
        if row.group == group and row.method in [*args.methods, "training_free"]
    ]
    first = [ROWS[name].method for name in names if ROWS[name].half or ROWS[name].retest]
    return [n for n in dict.fromkeys([*first, *names]) if (PROJECT_ROOT / ROWS[n].config).is_file()]


def compare(args: Namespace) -> tuple[dict[str, Any], dict[str, Any], list[Run]]:
    """Do all that is not done.

    Returns:
        The scores of the rows and of the search, the analyses, and the runs that failed.
    """
    until = time.monotonic() + args.time_limit
    tried = {method: searches(method, args) for method in args.methods}
    failed = run_all([each for runs in tried.values() for each in runs], args.jobs, until)
    rates = {method: best_rate(runs, failed) for method, runs in tried.items()}
    runs: dict[str, list[Run]] = {}
    for name in chosen_rows(args):
        row = ROWS[name]
        rate, seeds = rates.get(row.method), range(args.seeds if row.setting else 1)
        if rate is not None or not row.setting:
            runs[name] = [run_of(name, seed, rate, args) for seed in seeds]
    # Group by group and, within one, seed by seed: what is stopped early has some of everything.
    groups = {group: number for number, group in enumerate(args.groups)}
    ordered = sorted(
        (groups.get(ROWS[name].group, -1), seed, number)
        for number, name in enumerate(runs)
        for seed in range(len(runs[name]))
    )
    names = list(runs)
    every = [runs[names[number]][seed] for _, seed, number in ordered]
    analyses: dict[str, list[Run]] = {}
    if "analyses" in args.groups:
        for name in names:
            if ROWS[name].analysed:
                analyses[name] = [analysis_of(ROWS[name], each) for each in runs[name]]
                every += analyses[name]
    failed += run_all(every, args.jobs, until)
    search = {
        method: [{"rate": each.options[RATE], **(each.record() or {})} for each in found]
        for method, found in tried.items()
    }
    scores = {
        "iterations": args.iterations,
        "search": {"chosen_by": "mIoU_S", "scenes": SEARCH_SCENES, "methods": search},
        "rates": rates,
        "rows": {name: recorded(name, found) for name, found in runs.items()},
    }
    return scores, collected(analyses), failed


def recorded(name: str, runs: list[Run]) -> dict[str, Any]:
    """A row of the results: what was done, and the numbers of what is finished."""
    row = ROWS[name]
    return {
        "title": row.title,
        "group": row.group,
        "against": baselines(name),
        "leaks": row.leaks,
        "command": command_line(runs[0]),
        "runs": [found for each in runs if (found := each.record())],
    }


def collected(analyses: dict[str, list[Run]]) -> dict[str, Any]:
    """The analyses of all rows, and of which seeds they are."""
    results: dict[str, list[Any]] = {}
    seeds: dict[str, list[int | None]] = {}
    for name, runs in analyses.items():
        for each in runs:
            if report := each.report():
                (found,) = report["results"].values()
                results.setdefault(name, []).extend(found)
                seeds.setdefault(name, []).append(each.seed)
    return {"seeds": seeds, "results": results}


def without_curves(numbers: Any) -> Any:
    """What tables show: a curve is in the figure."""
    if isinstance(numbers, dict):
        return {key: without_curves(each) for key, each in numbers.items() if key != "curve"}
    return [without_curves(each) for each in numbers] if isinstance(numbers, list) else numbers


def parse_args(argv: list[str] | None = None) -> Namespace:
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    groups = [*GROUPS, "analyses"]
    parser.add_argument("--groups", nargs="+", choices=groups, default=groups, help="in this order")
    parser.add_argument("--methods", nargs="+", choices=TITLES, default=list(TITLES))
    parser.add_argument("--seeds", type=int, default=5, help="seeds 0 .. N-1 (default: 5)")
    parser.add_argument("--iterations", type=int, help="of all but the long group's (the config's)")
    parser.add_argument("--jobs", type=int, default=1, help="runs at once, which share the cores")
    parser.add_argument(
        "--time-limit",
        type=float,
        default=math.inf,
        metavar="SECONDS",
        help="begin nothing after that, and end what runs: the same command goes on",
    )
    parser.add_argument("--work-dir", type=Path, help="default: work_dirs/comparison")
    parser.add_argument("--record", action="store_true", help="into docs/ and the README")
    args = parser.parse_args(argv)
    usual = Run(ROWS["zegclip"].config, None, {}, PROJECT_ROOT).resolved().train_cfg.max_iters
    args.iterations = args.iterations or usual
    folder = PROJECT_ROOT / "work_dirs" / "comparison"
    args.work_dir = (args.work_dir or folder).resolve() / f"{args.iterations}_iterations"
    return args


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    # Its runs are ended with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped: the same command goes on"))
    scores, analyses, failed = compare(args)
    typed = shlex.join(["python", "tools/compare.py", *(sys.argv[1:] if argv is None else argv)])
    # Where the folder of runs is, is nobody's business.
    text = json.dumps({"command": typed, **scores}, indent=2).replace(str(args.work_dir), "FOLDER")
    with replacing(args.work_dir / "results.json") as part:
        part.write_text(text + "\n", encoding="utf-8")
    if analyses["results"]:
        analyze.write(analyses, args.work_dir)
    table = [
        [row["title"], str(len(row["runs"])), *mean_std(row["runs"])]
        for row in scores["rows"].values()
    ]
    print(markdown([["row", "runs", *COLUMNS.values()], *table]))
    print(f"written: {args.work_dir}/results.json and analysis.*")
    versions = {each["code"] for row in scores["rows"].values() for each in row["runs"]}
    if len(versions) > 1:
        print(f"note: these runs were made by different code: {', '.join(sorted(versions))}")
    if args.record:
        record("comparison", json.loads(text))
        if analyses["results"]:
            shutil.copy(args.work_dir / "analysis.png", ROOT / "docs" / "analysis.png")
            record("analysis", {"command": typed, **without_curves(analyses)})
    if failed:
        listed = "".join(f"\n  {each.folder}/output.txt" for each in failed)
        raise InputError(f"{len(failed)} runs failed, see{listed}")


if __name__ == "__main__":
    run(main)
