#!/usr/bin/env python
"""Time and peak memory, ours against the plain way, side by side in one process.

The plain way is what the published code computes, written anew (tools/benchmarks/plain.py). Times
on a CPU are CPU seconds, since others may use its cores; on CUDA they are those of the device.
Models have ViT-B/16's shapes and random weights: nothing is downloaded, no data set is needed.
"""

from __future__ import annotations

import argparse
import json
import platform
import shlex
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from benchmarks import models, surroundings
from benchmarks.measure import PRECISIONS, Settings
from results_table import markdown

from zegclip.compat import limit_threads
from zegclip.engine.launch import methods_with, run
from zegclip.errors import InputError
from zegclip.evaluation import code_version
from zegclip.files import PROJECT_ROOT, replacing

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
        models_ = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        name = models_[0].partition(":")[2].strip() if models_ else name
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
            print(f"{part}: {row['case']}: {_summary(row)}", flush=True)
            yield row | common
    except Exception:  # the other parts of a suite are still wanted
        print(traceback.format_exc(), file=sys.stderr)
        yield {"case": "stopped by an error", "error": traceback.format_exc()} | common


def write(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """``path`` (.json) and its tables beside it (.md)."""
    for suffix, text in ((".json", json.dumps(rows, indent=1)), (".md", render(rows))):
        with replacing(path.with_suffix(suffix)) as file:
            file.write_text(text + "\n", encoding="utf-8")


def merge(path: Path, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of a file, those measured again replaced."""
    old = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    keys = ("part", "case", "precision")
    new = {tuple(row[key] for key in keys) for row in rows}
    merged = [row for row in old if tuple(row[key] for key in keys) not in new] + [*rows]
    return sorted(merged, key=lambda row: list(PARTS).index(row["part"]))


def render(rows: Sequence[Mapping[str, Any]]) -> str:
    """A table for each part."""
    lines = ["# Benchmark: ours against the plain way", ""]
    for line in sorted({json.dumps([row["machine"], row["code"]]) for row in rows}):
        where, code = json.loads(line)
        lines += [
            f"{where['name']}, {where['threads']} thread(s), torch {where['torch']}; code {code}.",
            "",
        ]
    lines += [
        "Median (smallest–largest) of interleaved runs. Speed-up: the plain way's time over ours, "
        "run by run. Memory: peak above the model. Peak: the share of the speed of a large matrix "
        "product in the same runs, each way's own operations counted. Difference: of results and "
        "gradients, relative (of labels: the share that differs).",
    ]
    for part in dict.fromkeys(row["part"] for row in rows):
        lines += ["", f"## {part}", "", *_tables([row for row in rows if row["part"] == part])]
    return "\n".join(lines)


def _tables(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    table = [
        ["case", "", "seconds", "speed-up", "GB", "GFLOP", "peak", "difference", "product GFLOP/s"]
    ]
    for row in rows:
        case = f"{row['case']}, {row['precision']}"
        if "error" in row:
            table.append([case, row["error"].strip().splitlines()[-1], *[""] * 7])
        for name, way in row.get("ways", {}).items():
            first = name == "ours"
            extra = (
                f", {way['images_per_second']:.1f} images/s" if "images_per_second" in way else ""
            )
            table.append(
                [
                    case if first else "",
                    name,
                    _spread(way["seconds"]) + extra,
                    _spread(row["ratio"]) + "×" if first and "ratio" in row else "",
                    f"{way['peak_gb']:.3g}" if "peak_gb" in way else "",
                    f"{way['gflop']:.4g}" if way.get("gflop") else "",
                    f"{100 * way['share_of_matrix']:.0f} %" if way.get("gflop") else "",
                    f"{row['deviation']:.0e}" if first and "deviation" in row else "",
                    f"{row['matrix_gflops']['median']:.4g}" if first and way.get("gflop") else "",
                ]
            )
    if len(table) > 1:
        yield markdown(table)
    for row in rows:
        if "operations" in row:
            yield f"\n{row['case']}, {row['precision']}:\n"
            yield markdown(
                [
                    ["operation, shapes of its inputs", "calls", "ms", "share"],
                    *(
                        (
                            each["name"],
                            str(each["calls"]),
                            f"{each['ms']:.1f}",
                            f"{each['percent']:.1f} %",
                        )
                        for each in row["operations"]
                    ),
                ]
            )


def _spread(values: Mapping[str, float]) -> str:
    return "{median:.3g} ({min:.3g}–{max:.3g})".format(**values)


def _summary(row: Mapping[str, Any]) -> str:
    if "operations" in row:
        return ", ".join(
            f"{each['name'][:40]} {each['percent']:.0f} %" for each in row["operations"][:3]
        )
    times = ", ".join(f"{name} {_spread(way['seconds'])} s" for name, way in row["ways"].items())
    return times + (f", {_spread(row['ratio'])} times as fast" if "ratio" in row else "")


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
        write(path, merge(path, rows))
    print(f"written: {args.out / name}.json and .md")
    if any("error" in row for row in rows):
        raise SystemExit(1)


if __name__ == "__main__":
    run(main)
