#!/usr/bin/env python
"""Time and peak memory, ours against the plain way, side by side in one process.

The plain way is what the published code computes, written anew (tools/benchmarks/plain.py). Times
on a CPU are CPU seconds, since others may use its cores; on CUDA they are those of the device.
Models have ViT-B/16's shapes and random weights: nothing is downloaded, no data set is needed.
"""

from __future__ import annotations

import argparse
import platform
import shlex
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from benchmarks import models, surroundings
from benchmarks.measure import PRECISIONS, Settings
from benchmarks.tables import merge, summary, write

from zegclip.compat import limit_threads
from zegclip.engine.launch import methods_with, run
from zegclip.errors import InputError
from zegclip.evaluation import code_version
from zegclip.files import PROJECT_ROOT

PARTS: dict[str, Callable[[Settings], Iterator[dict[str, Any]]]] = {
    "train": models.train,
    "test": models.test,
    "loss": models.loss,
    "head": models.head,
    "attention": models.attention,
    "profile": models.profile,
    "data": surroundings.data,
    "eval": surroundings.evaluation,
    "startup": surroundings.startup,
    "programs": surroundings.programs,
}
# All that wants a GPU, in the order of what is wanted most: about eight minutes.
GPU_SUITE = (
    "train --classes 20 171 --batch 16 --precision bf16 --repeats 10",
    "train --classes 20 171 --batch 16 --precision tf32 --repeats 5",
    "train --classes 20 171 --batch 16 --precision fp32 --repeats 3",
    "test --classes 20 171 --precision bf16 --repeats 20",
    "test --classes 20 171 --precision fp32 --repeats 10",
    "loss --classes 20 171 847 --batch 4 --precision fp32 --repeats 10",
    "head --classes 20 171 --batch 16 --precision bf16 --repeats 10",
    "attention --batch 16 --precision bf16 --repeats 10",
    "profile --classes 20 171 --batch 16 --precision bf16",
    "eval",
    "programs",
)


def parse_args(argv: Sequence[str] | None = None) -> tuple[argparse.Namespace, Settings]:
    """The options, and what they say about measuring."""
    default = Settings()
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example:\n  python tools/benchmark.py train test --classes 20 171",
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--suite", choices=["gpu"], help="all that wants a GPU, in one command")
    parser.add_argument("--classes", type=int, nargs="+", default=default.classes, metavar="C")
    parser.add_argument("--batch", type=int, default=default.batch, help="images of a step")
    parser.add_argument("--size", type=int, default=default.size, help="side of a crop, pixels")
    parser.add_argument("--precision", choices=PRECISIONS, default=default.precision)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--repeats", type=int, default=default.repeats, help="timed runs")
    parser.add_argument("--methods", nargs="+", default=methods_with("voc"), metavar="METHOD")
    parser.add_argument("--threads", type=int, help="of torch (default: as many as cores)")
    parser.add_argument("--dry-run", action="store_true", help="tiny sizes: does it all run?")
    parser.add_argument("--out", type=Path, default=Path("work_dirs/benchmark"), metavar="DIR")
    parser.add_argument(
        "--record", action="store_true", help="also into docs/results/benchmark_DEVICE.{json,md}"
    )
    args = parser.parse_args(argv)
    if unknown := [part for part in args.parts if part not in PARTS]:
        parser.error(f"there is no part {unknown[0]}: {', '.join(PARTS)}")
    if not args.parts and not args.suite:
        parser.error("name a part, or --suite gpu")
    if args.suite and args.device != "cuda" and not args.dry_run:
        raise InputError("--suite gpu wants a GPU, and torch sees none; --dry-run tries it without")
    if unknown := [name for name in args.methods if name not in methods_with("voc")]:
        raise InputError(f"no method {unknown[0]}: {', '.join(methods_with('voc'))}")
    tiny: dict[str, Any] = dict(classes=(5,), batch=2, size=64, repeats=1) if args.dry_run else {}
    given = {name: tiny.get(name, getattr(args, name)) for name in vars(default)}
    return args, Settings(**given)


def machine(device: str) -> dict[str, Any]:
    """Where the numbers come from."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        name = info.read_text().partition("model name")[2].partition("\n")[0].strip(" \t:") or name
    if device == "cuda":
        name = torch.cuda.get_device_name()
    return {"name": name, "threads": torch.get_num_threads(), "torch": torch.__version__}


def measure(part: str, settings: Settings) -> Iterator[dict[str, Any]]:
    """The rows of a part, each with how it was measured; an error is a row, and ends the part."""
    common = {
        "part": part,
        "precision": settings.precision,
        "machine": machine(settings.device),
        "code": code_version(),
        "command": shlex.join(["python", "tools/benchmark.py", *sys.argv[1:]]),
    }
    try:
        for row in PARTS[part](settings):
            print(f"{part}: {row['case']}: {summary(row)}", flush=True)
            yield row | common
    except Exception:  # the other parts of a suite are still wanted
        print(traceback.format_exc(), file=sys.stderr)
        yield {"case": "stopped by an error", "error": traceback.format_exc()} | common


def main(argv: Sequence[str] | None = None) -> None:
    args, settings = parse_args(argv)
    if args.threads:
        torch.set_num_threads(args.threads)
    else:
        limit_threads()
    runs = [(part, settings) for part in args.parts]
    if args.suite:
        for line in GPU_SUITE:
            shared = ["--device", args.device] + ["--dry-run"] * args.dry_run
            part, *_ = line.split()
            runs.append((part, parse_args([*line.split(), *shared])[1]))
    name = "suite" if args.suite else "_".join(args.parts)
    rows: list[dict[str, Any]] = []
    for part, each in runs:
        for row in measure(part, each):
            rows.append(row)
            write(args.out / f"{name}.json", rows)  # a run may be cut off
    if args.record:
        path = PROJECT_ROOT / "docs" / "results" / f"benchmark_{settings.device}.json"
        write(path, merge(path, rows, list(PARTS)))
    print(f"written: {args.out / name}.json and .md")
    if any("error" in row for row in rows):
        raise SystemExit(1)


if __name__ == "__main__":
    run(main)
