#!/usr/bin/env python
"""Route attention against full self-attention: time and peak memory, side by side.

Full self-attention is the same module with k = p * p, which is torch's own attention. Times are
the best of --repeats, all cases in turns; memory is the peak above what was there before, on a CPU
the resident memory of a process of its own (Linux). Projections are part of both.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import zegclip  # noqa: F401  isort: skip  (first: prepares the stack)
import torch
from mmengine.device import get_device
from rich.console import Console
from rich.table import Table

from ldvc import RouteAttention

STEPS = ("forward", "forward + backward")
Case = tuple[int, int]  # side of the grid, k


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: python tools/benchmark_route_attention.py --grids 32 64 --topk 4 16",
    )
    parser.add_argument("--grids", type=int, nargs="+", default=[32, 64, 128], help="tokens a side")
    parser.add_argument("--topk", type=int, nargs="+", default=[1, 4, 16, 32], help="k")
    parser.add_argument("--num-regions", type=int, default=8, help="p, regions a side")
    parser.add_argument("--embed-dims", type=int, default=512)
    parser.add_argument("--num-heads", type=int, default=8)
    parser.add_argument("--batch-size", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--amp", action="store_true", help="mixed precision, bfloat16")
    parser.add_argument("--json", type=Path, help="write the numbers there too")
    parser.add_argument("--memory-of", type=int, nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    args.typed = sys.argv[1:] if argv is None else argv
    for k in args.topk:
        if not 1 <= k < args.num_regions**2:
            parser.error(f"--topk {k} must be from 1 to p * p - 1 = {args.num_regions**2 - 1}")
    return args


def build(case: Case, args: argparse.Namespace) -> tuple[RouteAttention, torch.Tensor]:
    """The module of a case and its tokens, on the device."""
    side, topk = case
    torch.manual_seed(0)
    attention = RouteAttention(args.embed_dims, args.num_heads, args.num_regions, topk)
    tokens = torch.randn(args.batch_size, side * side, args.embed_dims)
    return attention.to(get_device()), tokens.to(get_device()).requires_grad_()


def run(attention: RouteAttention, tokens: torch.Tensor, side: int, step: str, amp: bool) -> None:
    """One step of a case."""
    with (
        torch.set_grad_enabled(step != "forward"),
        torch.autocast(tokens.device.type, torch.bfloat16, enabled=amp),
    ):
        output = attention(tokens, (side, side))
    if step != "forward":
        output.float().sum().backward()
    if tokens.device.type == "cuda":
        torch.cuda.synchronize()


def seconds(cases: list[Case], args: argparse.Namespace) -> dict[Case, dict[str, float]]:
    """The best time of each case and step; all in turns."""
    best: dict[Case, dict[str, float]] = {case: {} for case in cases}
    built = {case: build(case, args) for case in cases}
    for repeat in range(1 + args.repeats):
        for case, (attention, tokens) in built.items():
            for step in STEPS:
                started = time.perf_counter()
                run(attention, tokens, case[0], step, args.amp)
                taken = time.perf_counter() - started
                if repeat:  # the first warms up
                    best[case][step] = min(taken, best[case].get(step, taken))
    return best


def resident(key: str) -> int:
    """Bytes of this process: ``VmRSS`` now, ``VmHWM`` at most."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/self/status has no {key}")


def peak_here(case: Case, step: str, args: argparse.Namespace) -> int:
    """Peak bytes of a step above what was there before it, in this process."""
    attention, tokens = build(case, args)
    if tokens.device.type == "cuda":
        run(attention, tokens, case[0], step, args.amp)
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run(attention, tokens, case[0], step, args.amp)
        return torch.cuda.max_memory_allocated() - before
    # What the first call of anything loads is not the attention's.
    run(*build((args.num_regions, case[1]), args), args.num_regions, step, args.amp)
    Path("/proc/self/clear_refs").write_text("5")
    before = resident("VmRSS")
    run(attention, tokens, case[0], step, args.amp)
    return resident("VmHWM") - before


def peak(case: Case, step: str, args: argparse.Namespace) -> int | None:
    """Peak bytes; on a CPU from a process of its own, ``None`` where Linux's /proc is not there."""
    if torch.cuda.is_available():
        return peak_here(case, step, args)
    if not Path("/proc/self/clear_refs").exists():
        return None
    command = [sys.executable, __file__, *args.typed]
    command += ["--memory-of", *map(str, case), str(STEPS.index(step))]
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": str(torch.get_num_threads()),
        "MALLOC_MMAP_THRESHOLD_": "65536",  # what is freed is given back at once
    }
    done = subprocess.run(
        command, env=environment, check=True, stdout=subprocess.PIPE, encoding="utf-8"
    )
    return int(done.stdout.split()[-1])


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """All cases of all grids, full attention first."""
    rows = []
    for side in args.grids:
        full = args.num_regions**2
        cases = [(side, k) for k in (full, *args.topk)]
        times = seconds(cases, args)
        for case in cases:
            for step in STEPS:
                rows.append(
                    {
                        "grid": side,
                        "topk": case[1],
                        "attention": "full" if case[1] == full else "route",
                        "step": step,
                        "seconds": times[case][step],
                        "time_ratio": times[case][step] / times[cases[0]][step],
                        "peak_bytes": peak(case, step, args),
                    }
                )
    for row in rows:
        rival = next(
            other["peak_bytes"]
            for other in rows
            if (other["grid"], other["step"], other["attention"])
            == (row["grid"], row["step"], "full")
        )
        known = row["peak_bytes"] is not None and rival
        row["memory_ratio"] = row["peak_bytes"] / rival if known else None
    cuda = torch.cuda.is_available()
    return {
        "command": " ".join(["python", "tools/benchmark_route_attention.py", *args.typed]),
        "device": torch.cuda.get_device_name()
        if cuda
        else f"CPU, {torch.get_num_threads()} threads",
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "rows": rows,
    }


def show(results: dict[str, Any], num_regions: int) -> None:
    """The numbers as a table, ratios against full attention of the same grid."""
    table = Table(title=f"route attention, p = {num_regions}, on {results['device']}")
    for heading in ("grid", "k", "step", "ms", "x full", "peak MiB", "x full"):
        table.add_column(heading, justify="left" if heading == "step" else "right")
    for row in results["rows"]:
        memory = row["peak_bytes"]
        table.add_row(
            f"{row['grid']}x{row['grid']}",
            f"{row['topk']} (full)" if row["attention"] == "full" else str(row["topk"]),
            row["step"],
            f"{row['seconds'] * 1e3:.1f}",
            f"{row['time_ratio']:.2f}",
            "-" if memory is None else f"{memory / 2**20:.0f}",
            "-" if row["memory_ratio"] is None else f"{row['memory_ratio']:.2f}",
            end_section=row["topk"] == results["rows"][-1]["topk"] and row["step"] == STEPS[-1],
        )
    Console().print(table)


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    if args.memory_of:
        side, topk, step = args.memory_of
        print(peak_here((side, topk), STEPS[step], args))
        return 0
    results = measure(args)
    show(results, args.num_regions)
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(results, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
