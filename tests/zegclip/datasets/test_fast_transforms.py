"""The fast transforms do what mmseg's own do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mmseg.datasets.transforms as theirs
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmseg.datasets import BaseSegDataset
from PIL import Image

from zegclip.datasets import FastPhotoMetricDistortion, FastRandomCrop, VOC20Dataset
from zegclip.datasets.random_crop import largest_share

STOCK = {
    "LoadCheckedAnnotations": "LoadAnnotations",
    "FastRandomCrop": "RandomCrop",
    "FastPhotoMetricDistortion": "PhotoMetricDistortion",
    "PackZeroShotInputs": "PackSegInputs",
}


@pytest.fixture
def photos(tmp_path: Path) -> dict[str, Any]:
    """Three small photographs and masks of blobs, as arguments for a data set."""
    generator = np.random.default_rng(0)
    for index, size in enumerate([(96, 64), (60, 90), (70, 70)]):
        for name, channels in (("images", (3,)), ("masks", ())):
            (tmp_path / name).mkdir(exist_ok=True)
            pixels = generator.choice([0, 0, 3, 9, 20], (4, 6, *channels))
            pixels = (pixels * 12 if channels else pixels).astype(np.uint8)
            picture = Image.fromarray(pixels).resize(
                size, Image.Resampling(0 if name == "masks" else 3)
            )
            picture.save(tmp_path / name / f"{index}.{'jpg' if channels else 'png'}")
    return dict(data_root=str(tmp_path), data_prefix=dict(img_path="images", seg_map_path="masks"))


@pytest.mark.parametrize("stage", ["train", "test"])
def test_pipeline_gives_what_mmsegs_stock_transforms_give(
    stage: str, photos: dict[str, Any]
) -> None:
    cfg = Config.fromfile("configs/_base_/datasets/photos.py")
    steps = [dict(step) for step in cfg[f"{stage}_pipeline"]]
    for step in steps:  # (crops of 48 pixels)
        step |= {
            "FastRandomCrop": dict(crop_size=(48, 48)),
            "RandomResize": dict(scale=(256, 64)),
        }.get(step["type"], {})
    stock = [
        step | {"type": STOCK.get(step["type"], step["type"])}
        for step in steps
        if step["type"] != "HideUnseenLabels"
    ]
    ours = VOC20Dataset(**photos, ann_file="", setting="supervised", unseen=[], pipeline=steps)
    plain = BaseSegDataset(**photos, pipeline=stock, reduce_zero_label=True)
    for seed in range(8):
        samples = []
        for dataset in (ours, plain):
            np.random.seed(seed)
            samples.append([dataset[index] for index in range(len(dataset))])
        for mine, other in zip(*samples, strict=True):
            assert torch.equal(mine["inputs"], other["inputs"])
            labels = [each["data_samples"].gt_sem_seg.data for each in (mine, other)]
            assert labels[0].dtype == torch.uint8 and torch.equal(labels[0].long(), labels[1])


@pytest.mark.parametrize("ratio", [0.3, 0.75, 1.0])
@pytest.mark.parametrize("size", [(40, 60), (20, 20), (24, 70)])
def test_crops_are_mmsegs(size: tuple[int, int], ratio: float) -> None:
    generator = np.random.default_rng(0)
    coarse = generator.choice(np.array([0, 1, 1, 1, 7, 255], np.uint8), (5, 10))
    labels = np.kron(coarse, np.ones((size[0] // 5, size[1] // 10), np.uint8))
    image = generator.integers(0, 255, (*labels.shape, 3), dtype=np.uint8)
    boxes = []
    for kind in (theirs.RandomCrop, FastRandomCrop):
        np.random.seed(3)
        crop = kind((24, 24), cat_max_ratio=ratio)
        results = [
            crop({"img": image, "gt_seg_map": labels.copy(), "seg_fields": ["gt_seg_map"]})
            for _ in range(40)
        ]
        boxes.append(results)
    for plain, ours in zip(*boxes, strict=True):
        assert np.array_equal(plain["img"], ours["img"])
        assert np.array_equal(plain["gt_seg_map"], ours["gt_seg_map"])


def test_largest_share_of_classes_that_a_coarse_grid_misses() -> None:
    labels = np.full((32, 32), 255, np.uint8)
    assert largest_share(labels) == 1
    labels[3, :8], labels[5, :24] = 4, 5
    assert largest_share(labels) == 0.75
    labels[::8, ::8] = 6  # 16 pixels, all that the grid sees
    assert largest_share(labels) == 0.5


def test_distortion_is_mmsegs_for_every_colour() -> None:
    image = np.stack(np.meshgrid(*[np.arange(0, 256, 15)] * 3), -1).reshape(18, -1, 3).astype("u1")
    for seed in range(40):
        distorted = []
        for kind in (theirs.PhotoMetricDistortion, FastPhotoMetricDistortion):
            np.random.seed(seed)
            distorted.append(kind()({"img": image.copy()})["img"])
        assert np.array_equal(*distorted)
