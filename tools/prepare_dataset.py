#!/usr/bin/env python
"""Bring a data set from its official archives into the layout that the configs expect.

What is there already is kept, so that a stopped run goes on with the same command. Afterwards, or
alone with --verify, counts, sizes and labels are compared with what is published.
"""

from __future__ import annotations

import argparse
import json
import shlex
import signal
import sys
from pathlib import Path

from zegclip.errors import InputError

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import zegclip  # noqa: F401  isort: skip  (first: prepares the stack)
from dataset_converters import DATA_SETS, STEPS
from dataset_converters.files import write_bytes
from dataset_converters.finding_archives import check_md5, check_opens, find_archives
from dataset_converters.verification import Verification, shares, verify
from dataset_converters.work import Work, check_space
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from zegclip.compat import available_cores

SHOWN = 5


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n"
        "  python tools/prepare_dataset.py voc --archives data/archives --out data\n"
        "  python tools/prepare_dataset.py voc --verify --out data --sample 500\n"
        "docs/data.md says where the archives are.",
    )
    parser.add_argument("dataset", choices=list(DATA_SETS), help="which one")
    parser.add_argument("--archives", type=Path, help="folder of the downloads (or above them)")
    parser.add_argument("--out", type=Path, default=Path("data"), help="default: %(default)s")
    parser.add_argument("--verify", action="store_true", help="only verify what is in --out")
    parser.add_argument(
        "--sample", type=_positive, metavar="N", help="open only N masks of each split to verify"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the findings there")
    parser.add_argument(
        "--checksums", action="store_true", help="first compare the archives' md5 sums"
    )
    parser.add_argument("--jobs", type=_positive, help="processes (default: the cores)")
    parser.add_argument(
        "--force", action="store_true", help="replace masks and lists that are there"
    )
    args = parser.parse_args(argv)
    args.typed = sys.argv[1:] if argv is None else argv
    if not args.verify and args.archives is None:
        parser.error("--archives is needed (or --verify, for what is prepared already)")
    return args


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def prepare(work: Work, checksums: bool) -> None:
    """Check the archives and the disk, then do what is not done yet."""
    console = work.console
    for archive, path in work.archives.values():
        check_opens(path)
        if checksums:
            console.print(f"md5 of {path}: {'comparing' if archive.md5 else 'none is published'}")
            check_md5(archive, path)
    console.print("reading what the archives hold")
    steps = STEPS[work.description.key](work)
    check_space(steps, work.out)
    for step in steps:
        step.run()
    written, replaced = work.tally["written"], work.tally["replaced"]
    if written or replaced:
        console.print(
            f"{written} files written, {replaced} replaced, {work.tally['there']} there already"
        )
    else:
        console.print(f"nothing to do: all {work.tally['there']} files are there already")
    if work.tally["kept"]:
        console.print(f"{work.tally['kept']} files differ from ours and are kept (--force: ours)")
    for note in work.notes[:SHOWN]:
        console.print(f"note: {note}", markup=False)
    if len(work.notes) > SHOWN:
        console.print(f"and {len(work.notes) - SHOWN} more")


def report_failures(work: Work) -> None:
    """Say which files could not be read, and write all of them down beside the data."""
    report = work.out / f"{work.description.key}_unreadable.txt"
    if not work.failures:
        report.unlink(missing_ok=True)
        return
    text = "".join(f"{name}: {reason}\n" for name, reason in work.failures)
    write_bytes(report, text.encode())
    work.console.print(f"{len(work.failures)} files cannot be read:", style="red")
    for name, reason in work.failures[:SHOWN]:
        work.console.print(f"  {name}: {reason}", markup=False)
    work.console.print(f"all of them: {report}", markup=False)


def show(result: Verification, work: Work) -> None:
    """Print counts, classes and findings."""
    console, description = work.console, work.description
    counts = Table("", "found", "published", title=escape(f"{description.title}: {result.root}"))
    for row in result.counts:
        style = "" if row["found"] == row["published"] else "bold red"
        counts.add_row(
            escape(row["what"]), f"{row['found']:,}", f"{row['published']:,}", style=style
        )
    console.print(counts)
    if result.masks_opened:
        table = Table("class", "pixels %", title=f"{result.masks_opened:,} masks opened")
        for name, pixels, share in shares(result, description):
            table.add_row(escape(name), f"{100 * share:.3f}" if pixels else "[red]never[/]")
        console.print(table)
        never = result.never(description)
        if never and result.sample is not None:  # else it is a finding
            console.print(f"in none of these masks: {', '.join(never)}", markup=False)
    for i, finding in enumerate(result.findings):
        # Neighbours with the same mend say it once.
        last = i + 1 == len(result.findings) or result.findings[i + 1].mend != finding.mend
        style = "red" if finding.severity == "error" else "yellow"
        console.print(finding.text(with_mend=last), style=style, markup=False)
    warnings = len(result.findings) - len(result.errors)
    console.print(f"{len(result.errors)} errors, {warnings} warnings")


def main(argv: list[str] | None = None) -> int:
    """Exit status 1 where files could not be read or the verification found errors."""
    args = parse_args(argv)
    # What schedulers send ends the converting processes too, as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    description = DATA_SETS[args.dataset]
    command = shlex.join(["python", "tools/prepare_dataset.py", *args.typed])
    console = Console(soft_wrap=True)
    try:
        archives = {} if args.verify else find_archives(description, args.archives, command)
        jobs = args.jobs or available_cores()
        work = Work(description, archives, args.out, jobs, args.force, console)
        if not args.verify:
            try:
                prepare(work, args.checksums)
            finally:
                report_failures(work)
        result = verify(work, args.sample)
        show(result, work)
    except InputError as error:
        raise SystemExit(f"error: {error}") from None
    except OSError as error:  # a full disk, a folder that may not be written
        raise SystemExit(f"error: {error}; when that is mended, again:\n  {command}") from None
    except KeyboardInterrupt:
        raise SystemExit(f"stopped; this goes on from here:\n  {command}") from None
    if args.json:
        content = {**result.as_dict(), "unreadable": work.failures}
        write_bytes(args.json, json.dumps(content, indent=2).encode())
        console.print(f"written: {args.json}", markup=False)
    return int(bool(work.failures or result.errors))


if __name__ == "__main__":
    sys.exit(main())
