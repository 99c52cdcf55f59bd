"""The benchmark runs everywhere, and compares what computes the same: no timings are tested."""

from __future__ import annotations

import json
from pathlib import Path

import benchmark
import pytest
import torch
from benchmarks import measure, models, plain, surroundings, tables
from mmseg.evaluation import IoUMetric

from zegclip.evaluation import ZeroShotIoUMetric
from zegclip.losses import MaskLoss

TINY = measure.Settings(classes=(5,), size=64, repeats=1, dry_run=True)
COMPARED = ("train", "test", "loss", "head", "attention", "data", "eval")


@pytest.mark.parametrize("part", COMPARED)
def test_each_part_is_written_and_its_ways_agree(part: str, tmp_path: Path) -> None:
    benchmark.main([part, "--dry-run", "--threads", "1", "--device", "cpu", "--out", str(tmp_path)])
    rows = json.loads((tmp_path / f"{part}.json").read_text())
    text = (tmp_path / f"{part}.md").read_text()
    for row in rows:
        assert row["case"] in text and row["code"] and row["machine"]["torch"]
        assert len(row["ways"]) == 2
        for way in row["ways"].values():
            assert way["seconds"]["min"] > 0 and way["peak_gb"] > 0
        # Results and gradients of the plain way are ours: only then is the comparison fair.
        assert part == "eval" or row["deviation"] < 1e-4, row["case"]
    if part == "train":
        assert [row["case"].partition(",")[0] for row in rows] == ["zegclip", "ldvc", "tagclip"]


def test_the_metrics_count_the_same() -> None:
    names = [f"class {index}" for index in range(171)]
    meta = dict(classes=names, unseen=names[156:], setting="inductive")
    label, guess = torch.randint(171, (2, 1, 64, 64))
    label[:, :9] = 255
    sample = {"pred_sem_seg": {"data": guess}, "gt_sem_seg": {"data": label}}
    ours, theirs = (
        surroundings._process(kind, meta, [sample])() for kind in (ZeroShotIoUMetric, IoUMetric)
    )
    ours.compute_metrics(ours.results)
    theirs = theirs.compute_metrics(theirs.results)
    assert ours.summary["pAcc"] == pytest.approx(theirs["aAcc"], abs=0.01)  # (it rounds)
    mean = sum(each["IoU"] for each in ours.summary["per_class"].values()) / 171
    assert mean == pytest.approx(theirs["mIoU"], abs=0.01)


def test_a_deviation_is_seen() -> None:
    holder = torch.nn.ParameterList([torch.randn(2, 5, 4, 4)])
    labels, loss = models.fake_labels(TINY, 5), MaskLoss()
    shifted = torch.where(labels == 255, labels, (labels + 1) % 5)
    right, wrong = (
        list(plain.mask_loss(loss, holder[0], each).values()) for each in (labels, shifted)
    )
    assert measure.deviation(right, list(loss(holder[0], labels).values())) < 1e-5
    assert measure.deviation(right, wrong) > 1e-3
    assert measure.deviation([torch.tensor([1, 2])], [torch.tensor([1, 3])]) == 0.5


def test_memory_and_operations_are_exact() -> None:
    a = torch.randn(100, 100)

    def way() -> list[torch.Tensor]:
        b = a @ a
        del b
        return [a @ a + 1]  # two at once

    row = measure.compare("product", {"ours": way}, TINY)
    assert row["ways"]["ours"]["peak_gb"] == pytest.approx(2 * 4e4 / 1e9, rel=0.01)
    assert row["ways"]["ours"]["gflop"] == pytest.approx(2 * 2e6 / 1e9)


def test_the_attention_of_the_cpu_is_counted() -> None:
    q = torch.randn(1, 2, 50, 16)
    attend = torch.nn.functional.scaled_dot_product_attention
    row = measure.compare("attention", {"ours": lambda: [attend(q, q, q)]}, TINY)
    assert row["ways"]["ours"]["gflop"] == pytest.approx(2 * 2 * 2 * 50 * 50 * 16 / 1e9)


def test_recorded_rows_are_replaced_where_they_were_measured_again(tmp_path: Path) -> None:
    row = {"part": "loss", "case": "C = 5", "precision": "fp32", "value": 1}
    other = row | {"part": "train"}
    (tmp_path / "old.json").write_text(json.dumps([row, other]))
    merged = tables.merge(tmp_path / "old.json", [row | {"value": 2}], ["train", "loss"])
    assert merged == [other, row | {"value": 2}]


@pytest.mark.slow
def test_the_gpu_suite_runs(tmp_path: Path) -> None:
    argv = ["--suite", "gpu", "--dry-run", "--device", "cpu", "--threads", "1"]
    benchmark.main([*argv, "--out", str(tmp_path)])
    rows = json.loads((tmp_path / "suite.json").read_text())
    assert {row["part"] for row in rows} >= {"train", "test", "profile", "programs"}
    assert {row["precision"] for row in rows} == {"fp32", "tf32", "bf16"}


@pytest.mark.slow
def test_startup_runs(tmp_path: Path) -> None:
    benchmark.main(["startup", "--dry-run", "--out", str(tmp_path)])
    assert "import zegclip" in (tmp_path / "startup.md").read_text()


def test_an_error_ends_its_part_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(settings: measure.Settings):
        raise RuntimeError("out of memory")
        yield

    monkeypatch.setitem(benchmark.PARTS, "loss", broken)
    with pytest.raises(SystemExit):
        benchmark.main(["loss", "head", "--dry-run", "--device", "cpu", "--out", str(tmp_path)])
    rows = json.loads((tmp_path / "loss_head.json").read_text())
    assert "out of memory" in rows[0]["error"] and rows[-1]["part"] == "head"
    assert "RuntimeError: out of memory" in (tmp_path / "loss_head.md").read_text()
