#!/usr/bin/env python
"""Time and peak memory, ours against the plain way, side by side in one process.

The plain way is what the published code computes, written anew (tools/benchmarks/plain.py). Times
on a CPU are CPU seconds, since others may use its cores; on CUDA they are those of the device.
Models have ViT-B/16's shapes and random weights: nothing is downloaded, no data set is needed.
OMP_NUM_THREADS says how many threads torch computes with.

example: python tools/benchmark.py train test --classes 20 171
"""

from __future__ import annotations

import platform
import re
import shlex
import sys
import time
import traceback
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from benchmarks import exported, models, surroundings
from benchmarks.measure import PRECISIONS, Row
from benchmarks.tables import merge, table, write

from zegclip.engine.config_files import methods_with
from zegclip.engine.launch import run
from zegclip.errors import InputError
from zegclip.evaluation import code_version
from zegclip.files import PROJECT_ROOT

PARTS: dict[str, Callable[[Namespace], Iterator[Row]]] = {
    "train": models.train,
    "test": models.test,
    "loss": models.loss,
    "head": models.head,
    "attention": models.attention,
    "profile": models.profile,
    "export": exported.export,  # on a CPU
    "data": surroundings.data,
    "eval": surroundings.evaluation,
    "startup": surroundings.startup,
}
# All that wants a GPU, what is wanted most first.
GPU_SUITE = (
    "train test --precision bf16",
    "train --precision tf32 --repeats 5",
    "loss --classes 20 171 847 --batch 4",
    "attention head eval --precision bf16",
    "train test --precision fp32 --repeats 3",
    "train --precision bf16 --repeats 5 --classes 171 --checkpoint",
    "profile --precision bf16 --classes 171",
    "train test --precision bf16 --repeats 5 --classes 171 --compile",
)
SUITE_OPTIONS = "--classes 20 171 --batch 16 --repeats 10"


def parse_args(argv: Sequence[str] | None = None) -> Namespace:
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--suite", choices=["gpu"], help="all that wants a GPU")
    parser.add_argument(
        "--seconds", type=float, default=300, help="after which no part of a suite begins"
    )
    parser.add_argument("--classes", type=int, nargs="+", default=[20, 59, 171, 847], metavar="C")
    parser.add_argument("--batch", type=int, default=2, help="images of a step")
    parser.add_argument("--size", type=int, default=512, help="side of a crop, pixels")
    parser.add_argument("--precision", choices=PRECISIONS, default="fp32")
    parser.add_argument("--compile", action="store_true", help="our image blocks are compiled")
    parser.add_argument("--checkpoint", action="store_true", help="and recomputed, to save memory")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--repeats", type=int, default=5, help="timed runs")
    methods = methods_with("voc")
    parser.add_argument("--methods", nargs="+", choices=methods, default=methods, metavar="METHOD")
    parser.add_argument("--dry-run", action="store_true", help="tiny sizes: does it all run?")
    parser.add_argument("--out", type=Path, default=Path("work_dirs/benchmark"), metavar="DIR")
    parser.add_argument(
        "--record", action="store_true", help="also into docs/results/benchmark_DEVICE.{json,md}"
    )
    args = parser.parse_args(argv)
    if unknown := set(args.parts) - set(PARTS):
        parser.error(f"there is no part {min(unknown)}: {', '.join(PARTS)}")
    if bool(args.parts) == bool(args.suite):
        parser.error("name a part, or --suite gpu")
    if "export" in args.parts and args.device != "cpu":
        raise InputError("export is measured on a CPU: name it alone, with --device cpu")
    if args.suite and args.device != "cuda" and not args.dry_run:
        raise InputError("--suite gpu wants a GPU, and torch sees none; --dry-run tries it without")
    if args.dry_run:
        args.classes, args.batch, args.size, args.repeats = [5], 2, 64, 1
    return args


def cpu_name() -> str:
    """The processor's; Python knows it on few systems."""
    info = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.*)", info.read_text()) if info.is_file() else None
    return found[1] if found else platform.processor() or platform.machine()


def measure(part: str, args: Namespace) -> list[Row]:
    """The rows of a part, each with how it was measured; an error is a row, and ends the part."""
    name = torch.cuda.get_device_name() if args.device == "cuda" else cpu_name()
    options = [word for word in ("compile", "checkpoint") if getattr(args, word)]
    common = {
        "part": part,
        "mode": ", ".join([args.precision, *options]),
        "machine": f"{name}, {torch.get_num_threads()} thread(s), torch {torch.__version__}",
        "code": code_version(),
        "command": shlex.join(["python", "tools/benchmark.py", *sys.argv[1:]]),
    }
    rows: list[Row] = []
    try:
        for row in PARTS[part](args):
            rows.append(row | common)
    except Exception as error:  # the other parts of a suite are still wanted
        traceback.print_exc()
        message = " ".join(f"{type(error).__name__}: {error}".split())
        rows.append({"case": "stopped", "error": message} | common)
    print(f"{part}, {common['mode']}\n{table(rows)}\n", flush=True)
    return rows


def main(argv: Sequence[str] | None = None) -> None:
    begin = time.monotonic()
    args = parse_args(argv)
    runs = [(part, args) for part in args.parts]
    shared = f"{SUITE_OPTIONS} --device {args.device} {'--dry-run' * args.dry_run}"
    for words in GPU_SUITE if args.suite else ():
        own = parse_args(f"{shared} {words}".split())
        runs += [(part, own) for part in own.parts]
    rows: list[Row] = []
    path = args.out / f"{args.suite or '_'.join(args.parts)}.json"
    for part, own in runs:
        if args.suite and time.monotonic() - begin > args.seconds:
            print(f"the time is over: {part} is left out ({own})")
            continue
        rows += measure(part, own)
        write(path, rows)
    if args.record:
        recorded = PROJECT_ROOT / "docs" / "results" / f"benchmark_{args.device}.json"
        write(recorded, merge(recorded, rows, list(PARTS)))
    print(f"written: {path.with_suffix('')}.json and .md")
    if any("error" in row for row in rows):
        raise SystemExit(1)


if __name__ == "__main__":
    run(main)
