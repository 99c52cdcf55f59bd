"""The benchmark runs everywhere, and compares what computes the same: no timings are tested."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import benchmark
import pytest
import torch
from benchmarks import measure, models, plain, tables

from zegclip.errors import InputError
from zegclip.losses import focal_dice_loss, present_classes

TINY = benchmark.parse_args(["loss", "--dry-run", "--device", "cpu"])


def rows_of(folder: Path, *argv: str) -> list[measure.Row]:
    """What a dry run writes."""
    benchmark.main([*argv, "--dry-run", "--device", "cpu", "--out", str(folder)])
    (file,) = folder.glob("*.json")
    return json.loads(file.read_text())


def test_results_are_written_and_the_ways_agree(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, "train", "test", "loss", "head", "attention", "data", "eval")
    (page,) = (each.read_text() for each in tmp_path.glob("*.md"))
    ours, theirs = rows[::2], rows[1::2]
    assert {row["way"] for row in ours} == {"ours"} and {row["way"] for row in theirs} == {"plain"}
    for row in rows:
        assert row["case"] in page and row["code"] and row["machine"]
        assert row["seconds"][1] > 0
        assert row["part"] == "data" or row["gb"] > 0  # (nothing of it is torch's)
    for row in theirs:  # only where results and gradients are ours is the comparison fair
        assert row["part"] == "eval" or row["deviation"] < 1e-4, row
    for a, b in zip(ours, theirs, strict=True):
        if a["part"] in ("train", "test", "attention"):  # and only where it does what ours spares
            assert b["gflop"] > a["gflop"], a


def test_a_deviation_is_seen() -> None:
    logits, labels = torch.randn(2, 5, 4, 4), models.fake_labels(TINY, 5)
    given = [
        (logits, each, present_classes(each, 5))
        for each in (labels, torch.where(labels == 255, labels, (labels + 1) % 5))
    ]
    right, wrong = (plain.focal_dice_loss(*each) for each in given)
    assert measure.deviation(right, focal_dice_loss(*given[0])) < 1e-5
    assert measure.deviation(right, wrong) > 1e-3
    assert measure.deviation([torch.tensor([1, 2])], [torch.tensor([1, 3])]) == 0.5


def test_where_the_plain_way_runs_out_of_memory_ours_is_still_measured() -> None:
    square = torch.ones(8, 8)

    def too_large() -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    ways = {"ours": lambda: square @ square, "plain": too_large, "other": lambda: 2 * square}
    ours, other, plain_row = measure.compare("product", ways, TINY)
    assert ours["seconds"][1] > 0 and other["speed_up"][0] > 0 and other["deviation"] > 0
    assert plain_row == {"case": "product", "way": "plain", "error": "out of memory"}
    with pytest.raises(torch.OutOfMemoryError):
        measure.compare("product", {"ours": too_large, "plain": ways["ours"]}, TINY)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_gradients_of_mixed_precision_are_near_those_of_float32(dtype: torch.dtype) -> None:
    for case, model, file in models.models(TINY):
        losses = models.training_ways(model, file, TINY)["ours"]
        exact = measure.step(losses, model)
        with torch.autocast("cpu", dtype):
            found = measure.step(losses, model)
        assert len(found) == len(exact) > 10
        a, b = (
            torch.cat([each.flatten().float() for each in each_of]) for each_of in (found, exact)
        )
        assert (a - b).norm() < 0.05 * b.norm(), case


def test_memory_and_operations_are_exact() -> None:
    a = torch.randn(100, 100)

    def way() -> torch.Tensor:
        b = a @ a
        del b
        return a @ a + 1  # two at once

    (row,) = measure.compare("product", {"ours": way}, TINY)
    assert row["gb"] == pytest.approx(2 * 4e4 / 1e9, rel=0.01)
    assert row["gflop"] == pytest.approx(2 * 2e6 / 1e9)


def test_what_is_compiled_is_timed_compiled() -> None:
    calls = []

    def backend(graph: torch.fx.GraphModule, example: list[torch.Tensor]) -> Any:
        return lambda *inputs: calls.append(1) or graph(*inputs)

    a = torch.randn(100, 100)
    way = torch.compile(lambda: a @ a, backend=backend)
    (row,) = measure.compare("product", {"ours": way}, TINY)
    assert len(calls) == 1 + TINY.repeats  # for the memory and the time, not for the operations
    assert row["gflop"] == pytest.approx(2e6 / 1e9)


def test_recorded_rows_are_replaced_where_they_were_measured_again(tmp_path: Path) -> None:
    row = {"part": "loss", "case": "C = 5", "mode": "fp32", "gb": 1}
    other = row | {"part": "train"}
    (tmp_path / "old.json").write_text(json.dumps([row, other]))
    merged = tables.merge(tmp_path / "old.json", [row | {"gb": 2}], ["train", "loss"])
    assert merged == [other, row | {"gb": 2}]


@pytest.mark.slow
def test_the_gpu_suite_runs(tmp_path: Path) -> None:
    with torch.compiler.set_stance("force_eager"):
        rows = rows_of(tmp_path, "--suite", "gpu")
    on_a_cpu = {"data", "startup", "export"}
    assert {row["part"] for row in rows} == set(benchmark.PARTS) - on_a_cpu
    modes = {row["mode"] for row in rows}
    assert modes == {"fp32", "tf32", "bf16", "bf16, compile", "bf16, checkpoint"}


def test_no_part_of_a_suite_begins_when_its_time_is_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["--suite", "gpu", "--dry-run", "--device", "cpu", "--out", str(tmp_path)]
    benchmark.main([*argv, "--seconds", "0"])
    assert "the time is over: train is left out" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("method", ["tagclip", "ldvc"])
def test_what_is_exported_computes_the_same(tmp_path: Path, method: str) -> None:
    with torch.compiler.set_stance("force_eager"):
        first, *others = rows_of(tmp_path, "export", "--methods", method)
    assert "deviation" not in first
    assert [row["way"] for row in others] == ["torch.compile", "exported program", "ONNX Runtime"]
    assert all(row["deviation"] < 1e-4 for row in others)


def test_export_is_measured_on_a_cpu() -> None:
    with pytest.raises(InputError, match="name it alone, with --device cpu"):
        benchmark.parse_args(["train", "export", "--device", "cuda"])


@pytest.mark.slow
def test_startup_runs(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, "startup")
    programs = ["-c import torch", "-c import zegclip", "tools/train.py"]
    assert [row["case"].partition(" configs")[0] for row in rows] == programs
    assert all(row["seconds"][0] > 0 and "error" not in row for row in rows)


def test_an_error_ends_its_part_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(args: Namespace) -> Iterator[measure.Row]:
        yield {"case": "first"}
        raise RuntimeError("out of memory")

    monkeypatch.setitem(benchmark.PARTS, "loss", broken)
    with pytest.raises(SystemExit):
        rows_of(tmp_path, "loss", "eval")
    rows = json.loads((tmp_path / "loss_eval.json").read_text())
    assert [row["case"] for row in rows[:2]] == ["first", "stopped"]
    assert rows[1]["error"] == "RuntimeError: out of memory" and rows[-1]["part"] == "eval"
    assert "RuntimeError: out of memory" in (tmp_path / "loss_eval.md").read_text()
