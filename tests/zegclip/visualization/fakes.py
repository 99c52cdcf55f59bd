"""A data set and a model whose every answer is known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from PIL import Image

CLASSES = ("cat", "bus", "sofa")
PALETTE = [(200, 0, 0), (0, 200, 0), (0, 0, 200)]
GREY = (90, 90, 90)
HEIGHT, WIDTH = 10, 20


class FakeDataset:
    """Grey images whose labels are vertical stripes; what a test data set is to a figure."""

    metainfo = {
        "classes": CLASSES,
        "unseen": ("sofa",),
        "palette": PALETTE,
        "dataset_name": "stripes",
    }

    def __init__(self, folder: Path, labels: Sequence[Sequence[int]]) -> None:
        self.labels = labels
        self.files = [folder / f"photo_{index}.png" for index in range(len(labels))]
        for file in self.files:
            Image.new("RGB", (WIDTH, HEIGHT), GREY).save(file)

    def __len__(self) -> int:
        return len(self.labels)

    def get_data_info(self, index: int) -> dict[str, Any]:
        return {"img_path": str(self.files[index])}

    def __getitem__(self, index: int) -> dict[str, Any]:
        stripes = self.labels[index]
        label = np.repeat(stripes, WIDTH // len(stripes))[None].repeat(HEIGHT, 0)
        sample = SegDataSample(gt_sem_seg=PixelData(data=torch.from_numpy(label)[None]))
        sample.set_metainfo({"img_path": str(self.files[index]), "ori_shape": (HEIGHT, WIDTH)})
        image = torch.full((3, HEIGHT, WIDTH), GREY[0], dtype=torch.uint8)
        return {"inputs": image, "data_samples": sample}


def batch(size: tuple[int, int], original: tuple[int, int] | None = None) -> dict[str, Any]:
    """One random image as a batch, which is of another size on disk."""
    sample = SegDataSample(metainfo={"ori_shape": original or size, "img_shape": size})
    image = torch.rand(3, *size, generator=torch.Generator().manual_seed(1)) * 255
    return {"inputs": [image], "data_samples": [sample]}


class FakeModel:
    """Predicts one class everywhere, and extra maps of one value.

    Args:
        label: what it predicts.
        meaning: of its attention maps.
        maps: values of its extra maps by name.
    """

    def __init__(self, label: int = 2, meaning: str = "means", **maps: float) -> None:
        self.label, self.maps = label, maps
        self.decode_head = SimpleNamespace(attention_meaning=meaning)
        self.tested = 0

    def test_step(self, data: dict[str, Any]) -> list[SegDataSample]:
        self.tested += 1
        for sample in data["data_samples"]:
            sample.pred_sem_seg = PixelData(data=torch.full((1, HEIGHT, WIDTH), self.label))
            for name, value in self.maps.items():
                heat = torch.full((1, HEIGHT, WIDTH), value)
                sample.set_data({name: PixelData(data=heat)})
        return data["data_samples"]
