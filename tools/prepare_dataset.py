#!/usr/bin/env python
"""Bring a data set from its official archives into the layout that the configs expect.

What is there already is kept, so that a stopped run goes on with the same command. Afterwards, or
alone with --verify, counts, sizes and labels are compared with what is published. docs/data.md says
where the archives are.

examples:
  python tools/prepare_dataset.py voc --archives data/archives --out data
  python tools/prepare_dataset.py voc --verify --out data --sample 500
"""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from pathlib import Path
from textwrap import fill

from dataset_converters import DATA_SETS
from dataset_converters.archives import find_archives
from dataset_converters.data_set import DataSet
from dataset_converters.verify import Verification, verify
from dataset_converters.work import Work

from zegclip.engine.launch import run
from zegclip.errors import InputError
from zegclip.files import write_text


def parse_args(argv: list[str] | None) -> Namespace:
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("dataset", choices=list(DATA_SETS), help="which one")
    parser.add_argument("--archives", type=Path, help="folder of the downloads (or above them)")
    parser.add_argument("--out", type=Path, default=Path("data"), help="default: %(default)s")
    parser.add_argument("--verify", action="store_true", help="only verify what is in --out")
    parser.add_argument("--sample", type=int, metavar="N", help="verify N masks of each split")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the findings there")
    parser.add_argument("--checksums", action="store_true", help="compare the archives' md5 sums")
    parser.add_argument("--force", action="store_true", help="replace masks and lists that differ")
    args = parser.parse_args(argv)
    if not args.verify and args.archives is None:
        parser.error("--archives is needed (or --verify, for what is prepared already)")
    if args.sample is not None and args.sample < 1:
        parser.error("--sample is at least 1")
    return args


def prepare(data_set: DataSet, args: Namespace) -> list[tuple[str, str]]:
    """Do what is not done yet.

    Returns:
        Name and reason of each mask that cannot be read; they are also written beside the data.
    """
    archives = find_archives(data_set, args.archives, args.checksums)
    work = Work(archives, args.out / data_set.root, args.force)
    try:
        data_set.prepare(work)
    except OSError as error:  # a full disk, a folder that may not be written
        raise InputError(f"{error}; when that is fixed, the same command goes on") from error
    except KeyboardInterrupt:
        raise InputError("stopped; the same command goes on from here") from None
    print("{written} files written, {there} were there".format_map(work.tally))
    if work.tally["kept"]:
        print(f"{work.tally['kept']} files differ from ours and are kept (--force: ours)")
    report = args.out / f"{data_set.key}_unreadable.txt"
    report.unlink(missing_ok=True)
    if work.failures:
        write_text(report, "".join(f"{name}: {why}\n" for name, why in work.failures))
        print(f"{len(work.failures)} files cannot be read, listed in {report}")
    return work.failures


def show(result: Verification, args: Namespace) -> None:
    """Print counts, the share of each label, findings and how to fix them."""
    data_set, total = result.data_set, max(1, result.pixels.sum())
    print(f"{data_set.title}: found (published)")
    for what, found, published in result.counts:
        print(f"  {what}: {found:,} ({published:,})")
    print(f"{result.masks:,} masks opened, % of their pixels:")
    shares = (f"{name} {100 * result.pixels[k] / total:.3g}" for k, name in data_set.names.items())
    print(fill(", ".join(shares), initial_indent="  ", subsequent_indent="  "))
    print(*result.findings, sep="\n")
    print(f"{len(result.errors)} errors, {len(result.findings) - len(result.errors)} warnings")
    if result.findings:
        print(
            f"fix: `{data_set.command(args.archives, args.out)}` makes what is missing (if it does "
            "not: --checksums tells whether an archive is damaged); with --force it also replaces "
            "masks and lists that differ. Masks of your own: class indices in one channel, not "
            "colours."
        )


def main(argv: list[str] | None = None) -> None:
    """Exit status 1 where files could not be read or the verification found errors."""
    args = parse_args(argv)
    data_set = DATA_SETS[args.dataset]
    failures = [] if args.verify else prepare(data_set, args)
    result = verify(data_set, args.out, args.sample)
    show(result, args)
    if args.json:
        content = {
            "counts": result.counts,
            "masks": result.masks,
            "pixels": result.pixels.tolist(),
            "findings": [vars(finding) for finding in result.findings],
            "unreadable": failures,
        }
        write_text(args.json, json.dumps(content, indent=2))
    if failures or result.errors:
        raise SystemExit(1)


if __name__ == "__main__":
    run(main)
