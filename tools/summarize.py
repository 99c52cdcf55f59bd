#!/usr/bin/env python
"""Collect the report.json of many runs into one table, beside the published numbers.

Runs of one config that were trained alike and judged by one protocol (its fingerprint) are one row,
mean ± standard deviation over the seeds.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import zegclip  # noqa: F401  isort: skip  (first: prepares the stack)
from dataset_converters.files import write_bytes
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from zegclip.evaluation.summary import (
    SummaryRow,
    differences,
    read_reports,
    repeated_seeds,
    summarise,
)

PUBLISHED = ROOT / "docs" / "results" / "published.json"
MEASURED = ROOT / "docs" / "results" / "measured.json"
SCORES = {"pAcc": "pAcc", "mIoU_S": "mIoU(S)", "mIoU_U": "mIoU(U)", "hIoU": "hIoU"}
FORMATS = ("table", "markdown", "csv")


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: python tools/summarize.py work_dirs --format markdown",
    )
    parser.add_argument("work_dirs", nargs="+", type=Path, metavar="WORK_DIR", help="and below it")
    parser.add_argument("--format", choices=FORMATS, default="table")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the table there")
    parser.add_argument(
        "--force", action="store_true", help="overwrite the file, or a recorded row"
    )
    parser.add_argument(
        "--record",
        action="store_true",
        help="put the rows into docs/results/measured.json, which the results pages show",
    )
    args = parser.parse_args(argv)
    if absent := [str(folder) for folder in args.work_dirs if not folder.is_dir()]:
        parser.error(f"no such folder: {', '.join(absent)}")
    if args.out and args.out.exists() and not args.force:
        parser.error(f"{args.out} exists: say --force to overwrite it")
    return args


def cells(row: SummaryRow, published: Sequence[dict[str, Any]]) -> list[str]:
    """One row of the table, as text."""
    keys = ["pAcc", "mIoU"] if "mIoU" in row.runs[0].scores else list(SCORES)
    scores = dict.fromkeys(SCORES, "")
    for key in keys:
        mean, std = row.mean(key), row.std(key)
        text = "" if mean is None else f"{mean:.1f}" + (f" ± {std:.1f}" if std is not None else "")
        scores["mIoU_S" if key == "mIoU" else key] = f"{text} (mIoU)" if key == "mIoU" else text
    reference = row.published(published)
    theirs = ""
    if reference is not None:
        values = [reference[key] for key in SCORES]
        theirs = " / ".join("–" if value is None else f"{value:.1f}" for value in values)
    setting = row.protocol.get("setting", "")
    return [row.config, setting, str(len(row.runs)), *scores.values(), theirs, row.fingerprint]


HEADING = ["config", "setting", "runs", *SCORES.values(), "published", "protocol"]


def rendered(rows: list[list[str]], kind: str) -> str:
    """The table as text in one of FORMATS."""
    file = io.StringIO()
    if kind == "csv":
        csv.writer(file, lineterminator="\n").writerows([HEADING, *rows])
    elif kind == "markdown":
        lines = ["| " + " | ".join(row) + " |" for row in [HEADING, *rows]]
        file.write("\n".join([lines[0], "|" + "---|" * len(HEADING), *lines[1:]]) + "\n")
    else:
        table = Table(*HEADING)
        for row in rows:
            table.add_row(*map(escape, row))
        width = None if sys.stdout.isatty() else 160
        Console(file=file, width=width or Console().width).print(table)
    return file.getvalue()


def record(rows: Sequence[SummaryRow], force: bool) -> None:
    """Put rows into measured.json; rows of other configs stay.

    Raises:
        SystemExit: a recorded row is of another protocol or of more runs, and not ``force``.
    """
    known = json.loads(MEASURED.read_text()) if MEASURED.is_file() else {}
    for row in rows:
        old = known.get(row.config) or {}
        runs = len(old.get("runs", ()))
        if old and not force and (old.get("protocol") != row.fingerprint or runs > len(row.runs)):
            raise SystemExit(
                f"error: not recorded: {row.config} is there already with {runs} run(s) of "
                f"protocol {old.get('protocol')}, this is {len(row.runs)} of {row.fingerprint}: "
                "say --force to replace it"
            )
        known[row.config] = {
            "dataset": row.protocol.get("dataset"),
            "setting": row.protocol.get("setting"),
            "protocol": row.fingerprint,
            "scores": {
                key: {"mean": row.mean(key), "std": row.std(key)}
                for key in row.runs[0].scores
                if row.mean(key) is not None
            },
            "runs": [run.record() for run in row.runs],
        }
    text = json.dumps(dict(sorted(known.items())), indent=2) + "\n"
    write_bytes(MEASURED, text.encode())


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    reports, problems = read_reports(args.work_dirs)
    for problem in problems:
        print(f"warning: {problem}", file=sys.stderr)
    for report in reports:
        if not report.finished:
            at = f"{report.iteration or '?'} of {report.max_iters}"
            print(f"warning: {report.folder} is unfinished ({at} iterations)", file=sys.stderr)
    rows = summarise(reports)
    if not rows:
        folders = ", ".join(map(str, args.work_dirs))
        raise SystemExit(f"error: no finished run's report.json in {folders} or below")
    text = rendered([cells(row, json.loads(PUBLISHED.read_text())) for row in rows], args.format)
    if args.out:
        write_bytes(args.out, text.encode())
        print(f"written: {args.out}")
    else:
        print(text, end="")
    several = differences(rows)
    for line in [*several, *repeated_seeds(rows)]:
        print(f"note: {line}", file=sys.stderr)
    if args.record:
        if several:
            raise SystemExit(
                "error: not recorded, because a config has several rows (see the notes): name the "
                "work dirs of one of them"
            )
        record(rows, args.force)
        print(f"written: {MEASURED}; into the pages: python tools/results_table.py --write")
    return 0


if __name__ == "__main__":
    sys.exit(main())
