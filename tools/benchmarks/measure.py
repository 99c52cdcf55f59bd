"""Time, peak memory and operations of ways to compute the same, in one interleaved run."""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import (
    FlopCounterMode,
    sdpa_backward_flop_count,
    sdpa_flop_count,
)

aten = torch.ops.aten
# torch's counter does not know the CPU's fused attention.
_FUSED_ON_CPU = {
    aten._scaled_dot_product_flash_attention_for_cpu: lambda q, k, v, *_, **__: sdpa_flop_count(
        q, k, v
    ),
    aten._scaled_dot_product_flash_attention_for_cpu_backward: (
        lambda grad, q, k, v, *_, **__: sdpa_backward_flop_count(grad, q, k, v)
    ),
}
PRECISIONS = ("fp32", "tf32", "bf16")
Way = Callable[[], Any]


@dataclass
class Settings:
    """What is measured, and how.

    Attributes:
        classes: numbers of classes.
        batch: images.
        size: side of the square crop, pixels.
        precision: ``"fp32"``, ``"tf32"`` (of products on CUDA) or ``"bf16"`` (autocast).
        device: ``"cpu"`` or ``"cuda"``.
        repeats: timed runs of each way.
        methods: by the first word of their configs.
        dry_run: everything tiny.
    """

    classes: Sequence[int] = (20, 59, 171, 847)
    batch: int = 2
    size: int = 512
    precision: str = "fp32"
    device: str = "cpu"
    repeats: int = 5
    methods: Sequence[str] = field(default_factory=lambda: ("zegclip", "tagclip", "ldvc"))
    dry_run: bool = False

    def numerics(self) -> AbstractContextManager[Any]:
        """The context in which everything is computed."""
        torch.backends.cuda.matmul.allow_tf32 = self.precision == "tf32"
        torch.backends.cudnn.allow_tf32 = self.precision == "tf32"
        if self.precision == "bf16":
            return torch.autocast(self.device, torch.bfloat16)
        return nullcontext()


def compare(
    case: str,
    ways: Mapping[str, Way],
    settings: Settings,
    reset: Callable[[], Any] = lambda: None,
    outcome: Callable[[Any], Sequence[Tensor]] | None = list,
    before_timing: Callable[[], Any] = lambda: None,
) -> dict[str, Any]:
    """Run each way once for memory, operations and outcome, then all of them in turn, timed.

    On a CPU the time is the process's CPU seconds (others may use the cores), and the memory the
    peak of what torch's allocator gave, by torch.profiler: exact to the byte, whatever the
    allocator keeps. On CUDA: events, and ``max_memory_allocated``. In both cases above what was
    allocated before. Operations by torch.utils.flop_counter (a multiply-add counts as two).

    Args:
        case: what is computed, for the table.
        ways: by name, ``"ours"`` first; ratios are of the second, the plain way, to it.
        settings: see there.
        reset: called before every run.
        outcome: what must be equal, of what a way returns; ``None``: nothing.
        before_timing: called after the first runs.

    Returns:
        Plain data: ``case``, ``ways``, ``ratio``, ``deviation``, ``matrix_gflops``.
    """
    found: dict[str, dict[str, Any]] = {}
    outcomes = []
    if settings.device == "cuda":
        torch.cuda.empty_cache()
    with settings.numerics():
        for name, way in ways.items():
            reset()
            counter = FlopCounterMode(display=False, custom_mapping=_FUSED_ON_CPU)
            with counter:
                result, peak = _peak_memory(way, settings.device)
            if outcome is not None:
                outcomes.append([each.detach().clone() for each in outcome(result)])
            del result
            found[name] = {"peak_gb": peak / 1e9, "gflop": counter.get_total_flops() / 1e9}
        before_timing()
        matrix, operations = _matrix_product(settings)
        timed = {**ways, "matrix": matrix}
        times: dict[str, list[float]] = {name: [] for name in timed}
        # (CUDA chooses kernels and fills its caches in the first runs.)
        for repeat in range(-2 if settings.device == "cuda" else 0, settings.repeats):
            names = list(timed) if repeat % 2 else list(timed)[::-1]
            for name in names:
                reset()
                seconds = _seconds(timed[name], settings.device)
                if repeat >= 0:
                    times[name].append(seconds)
    reset()
    speeds = [operations / 1e9 / seconds for seconds in times.pop("matrix")]
    for name, entry in found.items():
        entry["seconds"] = spread(times[name])
        rate = entry["gflop"] / entry["seconds"]["median"]
        entry["share_of_matrix"] = rate / statistics.median(speeds)
    row: dict[str, Any] = {"case": case, "ways": found, "matrix_gflops": spread(speeds)}
    if len(found) > 1:
        ours, plain = list(times.values())[:2]
        row["ratio"] = spread([p / o for p, o in zip(plain, ours, strict=True)])
    if len(outcomes) > 1:
        row["deviation"] = max(deviation(outcomes[0], other) for other in outcomes[1:])
    return row


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, smallest and largest."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def deviation(ours: Sequence[Tensor], plain: Sequence[Tensor]) -> float:
    """How far results are apart: of labels the share that differs, else relative to each tensor.

    (What is zero but for rounding is measured by a thousandth of the largest tensor.)
    """
    assert len(ours) == len(plain)
    floor = max((each.abs().max().item() for each in plain if each.is_floating_point()), default=0)
    found = [0.0]
    for a, b in zip(ours, plain, strict=True):
        assert a.shape == b.shape, (a.shape, b.shape)
        if not a.is_floating_point():
            found.append((a != b).float().mean().item())
        else:
            scale = max(b.abs().max().item(), 1e-3 * floor, 1e-30)
            found.append((a.double() - b.double()).abs().max().item() / scale)
    return max(found)


def _seconds(way: Way, device: str) -> float:
    if device == "cuda":
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize()
        begin.record()
        way()
        end.record()
        torch.cuda.synchronize()
        return begin.elapsed_time(end) / 1e3
    begin_cpu = time.process_time()
    way()
    return time.process_time() - begin_cpu


def _peak_memory(way: Way, device: str) -> tuple[Any, int]:
    """A way's result, and the bytes that it had at once above what was there before."""
    if device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        result = way()
        torch.cuda.synchronize()
        return result, torch.cuda.max_memory_allocated() - before
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True) as profile:
        result = way()
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder, "trace.json")
        profile.export_chrome_trace(str(trace))
        events = json.loads(trace.read_text(encoding="utf-8"))["traceEvents"]
    events = [event for event in events if event.get("name") == "[memory]"]
    level = peak = 0
    for event in sorted(events, key=lambda event: event["ts"]):
        level += event["args"]["Bytes"]
        peak = max(peak, level)
    return result, peak


def _matrix_product(settings: Settings) -> tuple[Way, int]:
    """What the machine can do: one large product in the same precision, and its operations."""
    side = 64 if settings.dry_run else 8192 if settings.device == "cuda" else 2048
    a, b = torch.randn(2, side, side, device=settings.device)
    return lambda: a @ b, 2 * side**3
