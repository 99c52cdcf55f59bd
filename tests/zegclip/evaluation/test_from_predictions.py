"""Scoring folders of predictions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from mmseg.datasets import BaseSegDataset
from PIL import Image

from zegclip.datasets import ZeroShotDataset
from zegclip.errors import InputError
from zegclip.evaluation import (
    ZeroShotIoUMetric,
    prediction_protocol,
    protocol_fingerprint,
    score_predictions,
)
from zegclip.evaluation.from_predictions import refuse_other_report
from zegclip.evaluation.summary import read_reports, summarise

LABELS = {"a": [[0, 0, 1, 255]], "b": [[2, 2, 2, 1]]}


def dataset(folder: Path, labels: Mapping[str, object] = LABELS) -> ZeroShotDataset:
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    for name, label in labels.items():
        mask = np.asarray(label, np.uint8)
        Image.new("RGB", mask.shape[::-1]).save(folder / "images" / f"{name}.jpg")
        Image.fromarray(mask).save(folder / "masks" / f"{name}.png")
    return ZeroShotDataset(
        data_root=str(folder),
        data_prefix={"img_path": "images", "seg_map_path": "masks"},
        metainfo={"classes": ["cat", "dog", "sofa"]},
        unseen=["sofa"],
        pipeline=[],
        test_mode=True,
    )


def predict(folder: Path, **labels: object) -> Path:
    folder.mkdir(exist_ok=True)
    for name, label in labels.items():
        Image.fromarray(np.asarray(label, np.uint8)).save(folder / f"{name}.png")
    return folder


def test_numbers_by_hand_and_no_class_is_wrong(tmp_path: Path) -> None:
    data, metric = dataset(tmp_path / "data"), ZeroShotIoUMetric()
    # 255: one pixel of the cat and one of the sofa have no class; what is ignored may be anything.
    folder = predict(tmp_path / "sam", a=[[0, 255, 1, 255]], b=[[2, 255, 2, 0]], other=[[0]])
    assert score_predictions(data, folder, metric) == ["other.png"]
    summary = metric.summary
    assert summary is not None
    assert summary["pAcc"] == pytest.approx(100 * 4 / 7)
    # cat: 1 right of 2 labelled and 2 predicted; dog: 1 of 2, 1; sofa: 2 of 3, 2.
    ious = {name: entry["IoU"] for name, entry in summary["per_class"].items()}
    assert ious == pytest.approx({"cat": 100 / 3, "dog": 50, "sofa": 200 / 3})
    assert summary["per_class"]["cat"]["Acc"] == 50
    assert summary["mIoU_S"] == pytest.approx((100 / 3 + 50) / 2)
    assert summary["mIoU_U"] == pytest.approx(200 / 3)


def test_nothing_is_scored_before_everything_is_right(tmp_path: Path) -> None:
    labels = {**LABELS, "c": [[0]], "d": [[0]]}
    data, metric = dataset(tmp_path / "data", labels), ZeroShotIoUMetric()
    Image.fromarray(np.full((1, 1), 9, np.uint8)).save(tmp_path / "data" / "masks" / "d.png")
    folder = predict(tmp_path / "p", a=[[0, 0, 1, 3]], b=[[2, 2, 2]], d=[[0]], x=[[0]])
    with pytest.raises(InputError) as error:
        score_predictions(data, folder, metric)
    for part in (
        "1 x missing: c.png",
        "1 x values outside the classes: a.png (3)",
        "1 x another size than the image: b.png (3x1, not 4x1)",
        "1 x mask of the data set itself that cannot be used",
        "d.png: 1 pixels have the label 9",
        "1 PNGs belong to no image of this data set: x.png",
    ):
        assert part in str(error.value)
    assert metric.summary is None and not metric.results


def test_it_needs_a_split_and_masks(tmp_path: Path) -> None:
    data = dataset(tmp_path / "data")
    other = BaseSegDataset(data_prefix=data.data_prefix, pipeline=[])
    with pytest.raises(InputError, match="BaseSegDataset: .* against a ZeroShotDataset"):
        score_predictions(other, tmp_path, ZeroShotIoUMetric())


def test_the_fingerprint_is_the_data_parts(tmp_path: Path) -> None:
    data = dataset(tmp_path / "data")
    one, two = (
        prediction_protocol(data.metainfo, 2, tmp_path / name, config)
        for name, config in (("sam", "zegclip_x"), ("other", "tagclip_x"))
    )
    assert one["predictions"] == "sam" and two["predictions"] == "other"
    assert one["fingerprint"] == two["fingerprint"] == protocol_fingerprint(one)
    fewer = prediction_protocol(data.metainfo, 1, tmp_path / "sam", "zegclip_x")
    assert fewer["fingerprint"] != one["fingerprint"]


def test_another_report_is_not_replaced(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    refuse_other_report(report, tmp_path / "sam")
    protocol = {"predictions": "sam", "predictions_folder": str((tmp_path / "sam").resolve())}
    report.write_text(json.dumps({"protocol": protocol}))
    refuse_other_report(report, tmp_path / "sam")
    for other in ("other", "elsewhere/sam"):  # a folder of the same name is another system's
        with pytest.raises(InputError, match="is the report of .*sam: give another --work-"):
            refuse_other_report(report, tmp_path / other)
    report.write_text(json.dumps({"protocol": {"config": "x"}}))
    with pytest.raises(InputError, match="report of something else"):
        refuse_other_report(report, tmp_path / "sam")


def test_two_systems_are_two_rows_of_a_summary(tmp_path: Path) -> None:
    data = dataset(tmp_path / "data")
    for name in ("sam", "other"):
        (tmp_path / "w" / name).mkdir(parents=True)
        protocol = prediction_protocol(data.metainfo, 2, tmp_path / name, "zegclip_x")
        content = {"pAcc": 50.0, "protocol": protocol}
        (tmp_path / "w" / name / "report.json").write_text(json.dumps(content))
    reports, problems = read_reports([tmp_path / "w"])
    rows = summarise(reports)
    assert not problems
    assert [(row.config, len(row.runs)) for row in rows] == [
        ("other (predictions, zegclip_x)", 1),
        ("sam (predictions, zegclip_x)", 1),
    ]
