"""Time, peak memory and operations of ways to compute the same, in one interleaved run."""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import accumulate
from statistics import median
from typing import Any

import torch
from support.flops import counting
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile
from torch.utils.benchmark import timer

PRECISIONS = {"fp32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16}
Row = dict[str, Any]
Way = Callable[[], Any]


def numerics(args: Namespace) -> torch.autocast:
    """The context in which everything is computed; sets TF32 too."""
    torch.backends.cuda.matmul.allow_tf32 = args.precision == "tf32"
    torch.backends.cudnn.allow_tf32 = args.precision == "tf32"
    return torch.autocast(args.device, torch.bfloat16, enabled=args.precision == "bf16")


def compare(
    case: str,
    ways: Mapping[str, Way],
    args: Namespace,
    learns: nn.Module | None = None,
    images: int | None = None,
) -> list[Row]:
    """Run each way for results, memory and operations, then all of them in turn, timed.

    On a CPU the time is the process's CPU seconds, since others may use the cores, and the memory
    the peak of what torch's allocator gave, exact to the byte. On CUDA both are the device's. The
    memory is above what was allocated before; a multiply-add counts as two operations.

    Args:
        case: what is computed, for the table.
        ways: by name; the first is ours, with which the others are compared.
        args: of the program.
        learns: what learns from the result, in evaluation mode: there is a backward pass as well.
            It is timed in training mode (dropout would be another one for each way).
        images: how many a way works through.

    Returns:
        A row for each way. Times and ratios are (median, smallest, largest). A way for which the
        memory is too small has an ``error`` instead; it is an exception if it is ours.
    """
    case += f", {images} images" if images else ""
    if learns is not None:
        ways = {name: partial(step, way, learns) for name, way in ways.items()}
    rows: list[Row] = []
    too_large: list[Row] = []
    results: list[list[Tensor]] = []
    with numerics(args):
        for name, way in list(ways.items()):
            row: Row = {"case": case, "way": name}
            try:
                results.append(_measure_once(way, args.device, row))
                rows.append(row)
            except torch.OutOfMemoryError:  # the plain way, on a smaller GPU; ours is still wanted
                if not rows:
                    raise
                too_large.append(row | {"error": "out of memory"})
                ways = {other: each for other, each in ways.items() if other != name}
                if learns is not None:
                    learns.zero_grad()
                torch.cuda.empty_cache()
        if learns is not None:
            learns.train()
        # What the machine can do: one large product in the same precision.
        side = 64 if args.dry_run else 8192 if args.device == "cuda" else 2048
        a, b = torch.randn(2, side, side, device=args.device, dtype=PRECISIONS[args.precision])
        *own, products = _interleaved([*ways.values(), lambda: a @ b], args)
    speed = 2 * side**3 / 1e9 / median(products)
    for row, found, other in zip(rows, own, results, strict=True):
        row["seconds"] = median_min_max(found)
        if images:
            row["images_per_second"] = images / median(found)
        if row["gflop"]:
            row["share"] = row["gflop"] / median(found) / speed
            row["product"] = speed
        if row is not rows[0]:
            row["speed_up"] = median_min_max([b / a for a, b in zip(own[0], found, strict=True)])
            row["deviation"] = deviation(results[0], other) if other else None
    return rows + too_large


def _measure_once(way: Way, device: str, row: Row) -> list[Tensor]:
    """A way's results; peak memory and operations, where torch knows them, go into its row."""
    result, peak = _peak_memory(way, device)  # (this run compiles: it comes first)
    found = [each.detach().clone() for each in tensors(result)]
    del result
    # (What is compiled would never again run compiled after a call in a dispatch mode.)
    with torch.compiler.set_stance("force_eager"), counting() as flops:
        way()
    row |= {"gb": peak / 1e9 or None, "gflop": flops.get_total_flops() / 1e9 or None}
    return found


def _interleaved(ways: Sequence[Way], args: Namespace) -> list[list[float]]:
    """Seconds of each way in each of the repeats, in which the ways take turns."""
    clock = timer if args.device == "cuda" else time.process_time
    times: list[list[float]] = [[] for _ in ways]
    # (A GPU's allocator and clock settle in two runs; training mode is compiled anew in one.)
    for repeat in range(-2 if args.device == "cuda" else -args.compile, args.repeats):
        for way, found in list(zip(ways, times))[:: -1 if repeat % 2 else 1]:
            begin = clock()
            way()
            if repeat >= 0:
                found.append(clock() - begin)
    return times


def step(way: Way, learns: nn.Module) -> list[Tensor]:
    """Forward and backward: the results, and the gradients that their squares give."""
    found = tensors(way())
    torch.stack([each.float().square().mean() for each in found]).sum().backward()
    found += [each.grad for each in learns.parameters() if each.grad is not None]
    learns.zero_grad()
    return found


def tensors(result: Any) -> list[Tensor]:
    """All tensors of a result, which may be within mappings and sequences."""
    if isinstance(result, Tensor):
        return [result]
    parts = result.values() if isinstance(result, Mapping) else result or ()
    return [each for part in parts for each in tensors(part)]


def median_min_max(values: Sequence[float]) -> tuple[float, float, float]:
    """Median, smallest and largest."""
    return median(values), min(values), max(values)


def deviation(ours: Sequence[Tensor], plain: Sequence[Tensor]) -> float:
    """How far results are apart: of labels the share that differs, else relative to each tensor.

    (What is zero but for rounding is measured by a thousandth of the largest tensor.)
    """
    largest = [each.abs().max().item() for each in plain if each.is_floating_point()]
    floor = max(1e-3 * max(largest, default=0), 1e-30)
    found = [0.0]
    for a, b in zip(ours, plain, strict=True):
        assert a.shape == b.shape, (a.shape, b.shape)
        if a.is_floating_point():
            difference = (a.double() - b.double()).abs().max().item()
            found.append(difference / max(b.abs().max().item(), floor))
        else:
            found.append((a != b).float().mean().item())
    return max(found)


def _peak_memory(way: Way, device: str) -> tuple[Any, int]:
    """A way's result, and the bytes that it had at once above what was there before."""
    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        result = way()
        return result, torch.cuda.max_memory_allocated() - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as found:
        result = way()
    events = [e for e in found.profiler.kineto_results.events() if e.name() == "[memory]"]
    events.sort(key=lambda event: event.start_ns())
    return result, max(accumulate(event.nbytes() for event in events), default=0)
