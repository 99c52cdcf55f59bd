"""tools/benchmark_route_attention.py on a small grid: what is measured, not how long it took."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tools import benchmark_route_attention as benchmark

SMALL = ["--grids", "6", "8", "--num-regions", "2", "--embed-dims", "16", "--num-heads", "2"]


def test_every_case_against_full_attention(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    peaks = {step: 1000 * (1 + number) for number, step in enumerate(benchmark.STEPS)}
    monkeypatch.setattr(benchmark, "peak", lambda case, step, args: peaks[step] * case[1])
    file = tmp_path / "made" / "numbers.json"
    arguments = [*SMALL, "--topk", "1", "3", "--repeats", "1", "--json", str(file)]
    assert benchmark.main(arguments) == 0
    results = json.loads(file.read_text())
    assert results["command"].endswith(" ".join(arguments))
    assert results["device"] and results["torch"] == torch.__version__
    assert results["threads"] == torch.get_num_threads()
    rows = results["rows"]
    assert [(row["grid"], row["topk"]) for row in rows[::2]] == [
        (grid, k) for grid in (6, 8) for k in (4, 1, 3)
    ]
    for row in rows:
        assert row["seconds"] > 0
        assert row["attention"] == ("full" if row["topk"] == 4 else "route")
        assert row["memory_ratio"] == row["topk"] / 4
        full = next(
            other
            for other in rows
            if other["attention"] == "full"
            and (other["grid"], other["step"]) == (row["grid"], row["step"])
        )
        assert row["time_ratio"] == pytest.approx(row["seconds"] / full["seconds"])
    assert "8x8" in capsys.readouterr().out


needs_proc = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="peak memory on a CPU needs Linux's /proc"
)


@needs_proc
def test_what_was_there_before_is_not_in_the_peak() -> None:
    args = benchmark.parse_args([*SMALL, "--topk", "1"])
    torch.ones(2**26)  # 256 MiB, and given back
    assert benchmark.resident("VmHWM") - benchmark.resident("VmRSS") > 2**27
    assert benchmark.peak_here((8, 1), benchmark.STEPS[0], args) < 2**26


@pytest.mark.slow
@needs_proc
def test_peak_memory_follows_the_size() -> None:
    """128 channels on 64x64 tokens are 2 MiB a copy; queries, keys, values and output are four."""
    arguments = ["--num-regions", "4", "--embed-dims", "128", "--num-heads", "2", "--topk", "1"]
    args = benchmark.parse_args([*arguments, "--grids", "64"])
    forward, both = (benchmark.peak((64, 1), step, args) for step in benchmark.STEPS)
    small = benchmark.peak((8, 1), benchmark.STEPS[0], args)
    assert forward is not None and both is not None and small is not None
    assert small < 2 * 2**20 < 4 * 2**20 < forward
    assert 1.3 * forward < both < 2**30  # gradients: 1.7 times, by measurement


def test_full_attention_is_the_rival_not_a_case(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        benchmark.parse_args(["--topk", "64"])
    assert "--topk 64 must be from 1 to p * p - 1 = 63" in capsys.readouterr().err
