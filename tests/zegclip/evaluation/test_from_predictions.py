"""Scoring folders of predictions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from zegclip.errors import InputError
from zegclip.evaluation import protocol_fingerprint, score_folder
from zegclip.evaluation.from_predictions import find_predictions

LABELS = {"a": [[0, 0, 1, 255]], "b": [[2, 2, 2, 1]]}


def config(tmp_path: Path, name: str = "sam", **labels: Any) -> Config:
    """A test data set of three classes, and a work dir."""
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir(exist_ok=True)
    for stem, label in (LABELS | labels).items():
        mask = np.asarray(label, np.uint8)
        Image.new("RGB", mask.shape[::-1]).save(tmp_path / "images" / f"{stem}.jpg")
        Image.fromarray(mask).save(tmp_path / "masks" / f"{stem}.png")
    dataset = dict(
        type="ZeroShotDataset",
        data_root=str(tmp_path),
        data_prefix=dict(img_path="images", seg_map_path="masks"),
        metainfo=dict(classes=["cat", "dog", "sofa"]),
        unseen=["sofa"],
        test_mode=True,
    )
    return Config(
        dict(
            test_dataloader=dict(dataset=dataset),
            test_evaluator=dict(type="ZeroShotIoUMetric"),
            work_dir=str(tmp_path / "work" / name),
        )
    )


def predict(folder: Path, **labels: object) -> Path:
    folder.mkdir(exist_ok=True)
    for name, label in labels.items():
        Image.fromarray(np.asarray(label, np.uint8)).save(folder / f"{name}.png")
    return folder


def test_numbers_by_hand_and_no_class_is_wrong(tmp_path: Path) -> None:
    # 255: one pixel of the cat and one of the sofa have no class; what is ignored may be anything.
    folder = predict(tmp_path / "sam", a=[[0, 255, 1, 255]], b=[[2, 255, 2, 0]], other=[[0]])
    report = score_folder(config(tmp_path), folder)
    assert report["extra_files"] == ["other.png"]
    assert report["pAcc"] == pytest.approx(100 * 4 / 7)
    # cat: 1 right of 2 labelled and 2 predicted; dog: 1 of 2, 1; sofa: 2 of 3, 2.
    ious = {name: entry["IoU"] for name, entry in report["per_class"].items()}
    assert ious == pytest.approx({"cat": 100 / 3, "dog": 50, "sofa": 200 / 3})
    assert report["per_class"]["cat"]["Acc"] == 50
    assert report["mIoU_S"] == pytest.approx((100 / 3 + 50) / 2)
    assert report["mIoU_U"] == pytest.approx(200 / 3)
    written = json.loads((tmp_path / "work/sam/report.json").read_text())
    assert written["pAcc"] == report["pAcc"] and written["protocol"] == report["protocol"]


def test_nothing_is_scored_before_everything_is_right(tmp_path: Path) -> None:
    more = {f"m{index}": [[0]] for index in range(14)}
    cfg = config(tmp_path, c=[[0]], d=[[0]], e=[[0]], **more)
    Image.fromarray(np.full((1, 1), 9, np.uint8)).save(tmp_path / "masks" / "d.png")
    wrong = {name: [[7]] for name in more}
    folder = predict(tmp_path / "p", a=[[0, 0, 1, 3]], b=[[2, 2, 2]], d=[[0]], x=[[0]], **wrong)
    Image.new("RGB", (1, 1)).save(folder / "e.png")
    with pytest.raises(InputError) as error:
        score_folder(cfg, folder)
    for part in (
        "the 19 predictions cannot be scored",
        "missing: c.png",
        "a.png: 1 pixels have the label 3, but the 3 classes are 0..2",
        "predictions are written as value - 1",
        "b.png: the mask is 3x1 pixels",
        "d.png: 1 pixels have the label 9",
        "e.png: several channels",
        "and 9 more",
        "1 PNGs belong to no image: x.png",
    ):
        assert part in str(error.value)
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize("what", ["masks", "metric"])
def test_it_needs_masks_and_our_metric(tmp_path: Path, what: str) -> None:
    cfg = config(tmp_path)
    if what == "masks":
        del cfg.test_dataloader.dataset.data_prefix["seg_map_path"]
    else:
        cfg.test_evaluator.type = "IoUMetric"
    with pytest.raises(InputError, match="that has masks|no ZeroShotIoUMetric"):
        score_folder(cfg, predict(tmp_path / "p", **LABELS))


def test_systems_share_a_fingerprint_and_no_report(tmp_path: Path) -> None:
    one, two = (
        score_folder(config(tmp_path, name), predict(tmp_path / name, **LABELS))["protocol"]
        for name in ("sam", "other")
    )
    assert one["predictions"] == "sam" and two["predictions"] == "other"
    assert one["fingerprint"] == two["fingerprint"] == protocol_fingerprint(one)
    score_folder(config(tmp_path), tmp_path / "sam")  # once more
    with pytest.raises(InputError, match="report of something else: give another --work-"):
        score_folder(config(tmp_path), tmp_path / "other")
    report = tmp_path / "work/sam/report.json"
    report.write_text(json.dumps({"protocol": {"config": "a trained model"}}))
    with pytest.raises(InputError, match="report of something else"):
        score_folder(config(tmp_path), tmp_path / "sam")


def test_names_mirrored_flat_missing_and_extra(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(InputError, match="is no folder with PNGs"):
            find_predictions(folder, ["a.jpg"], ".")
    (tmp_path / "x").mkdir()
    for name in ("x/a.png", "b.PNG", "train_0.png"):
        (tmp_path / name).touch()
    images = ["data/x/a.jpg", "data/x/b.jpg", "data/c.v2.jpg"]
    files, extra = find_predictions(tmp_path, images, "data")
    assert files == [
        ("x/a.png", tmp_path / "x/a.png"),
        ("b.png", tmp_path / "b.PNG"),
        ("c.v2.png", None),
    ]
    assert extra == ["train_0.png"]
    with pytest.raises(InputError, match=r"b\.png would belong to data/x/b\.jpg and to data/y/"):
        find_predictions(tmp_path, [*images, "data/y/b.jpg"], "data")
