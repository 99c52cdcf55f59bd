"""Sheets of predictions of a data set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from PIL import Image

from zegclip.visualization import images_with_unseen, prediction_sheet

CLASSES = ("cat", "dog", "sofa")


class FakeDataset:
    """Images whose labels are given; what a test data set is to a sheet."""

    metainfo = {
        "classes": CLASSES,
        "unseen": ("sofa",),
        "palette": [(200, 0, 0), (0, 200, 0), (0, 0, 200)],
    }

    def __init__(self, folder: Path, labels: list[list[int]]) -> None:
        self.labels, self.file = labels, folder / "image.png"
        Image.new("RGB", (20, 10), (90, 90, 90)).save(self.file)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> dict[str, Any]:
        label = np.repeat(self.labels[index], 20 // len(self.labels[index]))[None].repeat(10, 0)
        sample = SegDataSample(gt_sem_seg=PixelData(data=torch.from_numpy(label)[None]))
        sample.set_metainfo({"img_path": str(self.file)})
        return {"inputs": torch.zeros(3, 10, 20), "data_samples": sample}


class FakeModel:
    """Predicts the sofa everywhere."""

    def __init__(self, trust: bool) -> None:
        self.trust = trust

    def test_step(self, data: dict[str, Any]) -> list[SegDataSample]:
        for sample in data["data_samples"]:
            sample.pred_sem_seg = PixelData(data=torch.full((1, 10, 20), 2))
            if self.trust:
                sample.trusty_map = PixelData(data=torch.full((1, 10, 20), 0.5))
        return data["data_samples"]


def test_images_with_most_unseen_classes_come_first(tmp_path: Path) -> None:
    dataset = FakeDataset(tmp_path, [[0, 1], [2, 255], [2, 0], [1, 255]])
    assert images_with_unseen(dataset, 1) == [2]  # the unseen sofa, beside a seen cat
    assert images_with_unseen(dataset, 2) == [1, 2]


def test_sheet_has_a_trusty_map_where_there_is_one(tmp_path: Path) -> None:
    dataset = FakeDataset(tmp_path, [[2, 255], [0, 1]])
    plain = prediction_sheet(FakeModel(False), dataset, [0, 1], panel_height=40)
    with_trust = prediction_sheet(FakeModel(True), dataset, [0, 1], panel_height=40)
    assert with_trust.width - plain.width > 80  # one column of pictures four times the image
    # What the ground truth ignores stays bare in the prediction, what it labels is coloured.
    pixels = np.asarray(plain)
    assert (pixels == (90, 90, 90)).all(-1).sum() > 0
    blue = (pixels[..., 2] > 120) & (pixels[..., 0] < 60)
    assert blue.sum() > 0
