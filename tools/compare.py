#!/usr/bin/env python
"""The comparison on the mini benchmark: all rows of support/comparison_rows.py, with all seeds.

First each method's learning rate is searched over the same values, by mIoU(S) on scenes and with a
seed of their own; all rows of a method take it. Then the rows are trained or tested group by group
and seed by seed, and the main ones analysed. What is there, finished and alike, is not done again:
the same command goes on where it was stopped, also in a copy of the folder. Writes results.json
and analysis.* of all that is finished; with --record also docs/ and the README's table of claims.

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
from support.comparison_rows import GROUPS, ROWS, TITLES, baselines
from support.comparison_runs import RATE, SEARCH_SCENES, analysis_of, best_rate, run_of, searches
from support.markdown_table import markdown, mean_std
from support.runs import Run, command_line, run_all

from zegclip.engine.launch import run
from zegclip.errors import InputError
from zegclip.evaluation import COLUMNS
from zegclip.files import PROJECT_ROOT, write_text


def compare(args: Namespace) -> tuple[dict[str, Any], dict[str, Any], list[Run]]:
    """Do the runs that the arguments ask for and that are not finished.

    Returns:
        The scores of all that is finished, its analyses, and the runs that failed.
    """
    until = time.monotonic() + args.time_limit
    tried = {method: searches(method, args.work_dir, args.iterations) for method in TITLES}
    failed = run_all([run for key in args.methods for run in tried[key]], args.jobs, until)
    rates = {method: best_rate(runs, failed) for method, runs in tried.items()}
    runs, analyses = {}, {}
    for name, row in ROWS.items():
        # (All seeds that are there: fewer may be asked for than are recorded.)
        found = (each.name[5:] for each in (args.work_dir / name).glob("seed_*"))
        there = [int(each) + 1 for each in found if each.isdigit()]
        rate = rates.get(row.method)
        seeds = range(max([args.seeds, *there]) if row.setting else 1)
        if (rate or not row.setting) and (PROJECT_ROOT / row.config).is_file():
            where = (args.work_dir, args.iterations)
            runs[name] = [run_of(name, seed, rate, *where) for seed in seeds]
            if row.analysed:
                analyses[name] = [analysis_of(name, each) for each in runs[name]]
    failed += run_all(ordered(runs, analyses, args), args.jobs, until)
    search = {
        method: [{"rate": each.options[RATE], **(each.record() or {})} for each in found]
        for method, found in tried.items()
    }
    rows = {name: recorded(name, found) for name, found in runs.items()}
    scores = {
        "iterations": args.iterations,
        "search": {"chosen_by": "mIoU_S", "scenes": SEARCH_SCENES, "methods": search},
        "rates": rates,
        "rows": {name: row for name, row in rows.items() if row["runs"]},
    }
    return scores, collected(analyses), failed


def ordered(
    runs: dict[str, list[Run]], analyses: dict[str, list[Run]], args: Namespace
) -> list[Run]:
    """The runs that the arguments ask for; if they are stopped early, some of each kind are done.

    The groups come in their order, each seed by seed; before them the runs that they start from.
    Analyses are of the rows asked for; where none of these is analysed, of all that are trained.
    """
    asked = [n for n in runs if ROWS[n].group in args.groups and ROWS[n].method in args.methods]
    if "main" in args.groups:
        asked += [name for name in runs if not ROWS[name].setting]
    groups = {group: number for number, group in enumerate(args.groups)}
    starts = {ROWS[n].method for n in asked if ROWS[n].half or ROWS[n].retest}
    places = [
        (groups.get(ROWS[name].group, -1), seed, list(ROWS).index(name))
        for name in {*asked, *starts}
        for seed in range(min(len(runs[name]), args.seeds))
    ]
    found = [runs[list(ROWS)[number]][seed] for _, seed, number in sorted(places)]
    if "analyses" in args.groups:
        of_asked = [each for name in asked for each in analyses.get(name, ())[: args.seeds]]
        found += of_asked or [
            analysis
            for name, each in analyses.items()
            for trained, analysis in zip(runs[name], each[: args.seeds], strict=False)
            if ROWS[name].method in args.methods and trained.report()
        ]
    return found


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
    """The analyses that are finished, by row, of which seeds they are, and by which code."""
    found = {
        name: {each.seed: report for each in runs if (report := each.report())}
        for name, runs in analyses.items()
    }
    found = {name: reports for name, reports in found.items() if reports}
    return {
        "seeds": {name: list(reports) for name, reports in found.items()},
        "code": {
            name: sorted({report.get("code", "not told") for report in reports.values()})
            for name, reports in found.items()
        },
        "results": {
            name: [run for report in reports.values() for (run,) in report["results"].values()]
            for name, reports in found.items()
        },
    }


def without_curves(numbers: Any) -> Any:
    """Numbers of analyses without the curves, which only the figure shows."""
    if isinstance(numbers, dict):
        return {key: without_curves(each) for key, each in numbers.items() if key != "curve"}
    return [without_curves(each) for each in numbers] if isinstance(numbers, list) else numbers


def parse_args(argv: list[str] | None = None) -> Namespace:
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    groups = [*GROUPS, "analyses"]
    parser.add_argument("--groups", nargs="+", choices=groups, default=groups, help="in this order")
    parser.add_argument("--methods", nargs="+", choices=TITLES, default=list(TITLES))
    parser.add_argument("--seeds", type=int, default=5, help="seeds 0 .. N-1 (default: 5)")
    parser.add_argument("--iterations", type=int, help="of the usual schedule (the configs')")
    parser.add_argument("--jobs", type=int, default=1, help="runs at once, which share the cores")
    parser.add_argument(
        "--time-limit",
        type=float,
        default=math.inf,
        metavar="SECONDS",
        help="begin nothing after that, and end what runs: the same command goes on",
    )
    folder = PROJECT_ROOT / "work_dirs" / "comparison"
    parser.add_argument("--work-dir", type=Path, default=folder, help="default: %(default)s")
    parser.add_argument("--record", action="store_true", help="into docs/ and the README")
    args = parser.parse_args(argv)
    for name in ("seeds", "iterations", "jobs"):
        if (number := getattr(args, name)) is not None and number < 1:
            parser.error(f"--{name} {number}: at least one")
    usual = Run(ROWS["zegclip"].config, None, {}, folder).resolved().train_cfg.max_iters
    if args.record and args.iterations not in (None, usual):
        parser.error(f"--record --iterations {args.iterations}: recorded are {usual}")
    args.iterations = args.iterations or usual
    args.work_dir = args.work_dir.resolve() / f"{args.iterations}_iterations"
    return args


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    # Its runs are ended with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped: the same command goes on"))
    scores, analyses, failed = compare(args)
    typed = shlex.join(["python", "tools/compare.py", *(sys.argv[1:] if argv is None else argv)])
    # (Local paths are not recorded.)
    typed = typed.replace(str(args.work_dir.parent), "FOLDER")
    text = json.dumps({"command": typed, **scores}, indent=2).replace(str(args.work_dir), "FOLDER")
    write_text(args.work_dir / "results.json", text + "\n")
    if analyses["results"]:
        analyze.write(analyses, args.work_dir)
    table = [
        [row["title"], str(len(row["runs"])), *mean_std(row["runs"])]
        for row in scores["rows"].values()
    ]
    print(markdown([["row", "runs", *COLUMNS.values()], *table]))
    versions = {each["code"] for row in scores["rows"].values() for each in row["runs"]}
    print(f"written: {args.work_dir}, by the code of {', '.join(sorted(versions)) or 'none yet'}")
    if args.record:
        if lacking := [method for method, rate in scores["rates"].items() if rate is None]:
            raise InputError(
                f"not recorded: the search of {', '.join(lacking)} is not finished, and all of its "
                "rows would be gone"
            )
        record("comparison", json.loads(text))
        if analyses["results"]:
            shutil.copy(args.work_dir / "analysis.png", ROOT / "docs" / "analysis.png")
            record("analysis", {"command": typed, **without_curves(analyses)})
    if failed:
        listed = "".join(f"\n  {each.folder}/output.txt" for each in failed)
        raise InputError(f"{len(failed)} runs failed, see{listed}")


if __name__ == "__main__":
    run(main)
