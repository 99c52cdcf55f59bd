"""A data set and models whose every answer is known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from PIL import Image

from zegclip.segmentors.intermediate import ImageRegions

CLASSES = ("cat", "dog", "sofa")
GREY = (90, 90, 90)
HEIGHT, WIDTH = 10, 20


class FakeDataset:
    """Grey images whose labels are vertical stripes; what a test data set is to a figure."""

    metainfo = {
        "classes": CLASSES,
        "unseen": ("sofa",),
        "palette": [(200, 0, 0), (0, 200, 0), (0, 0, 200)],
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
        sample.set_metainfo({"img_path": str(self.files[index])})
        return {"inputs": torch.zeros(3, HEIGHT, WIDTH), "data_samples": sample}


class FakeHead:
    """Says what it shows; counts how often its attention among regions was switched off."""

    def __init__(self, meaning: str) -> None:
        self.attention_meaning = meaning
        self.is_off = False

    @contextmanager
    def without_region_attention(self) -> Iterator[None]:
        self.is_off = True
        yield
        self.is_off = False


class FakeModel:
    """Predicts one class everywhere; with regions switched off, another one.

    Args:
        label: what it predicts.
        trust: value of its trusty map, or ``None``.
        without: what it predicts without its attention among regions.
        meaning: of its attention maps.
    """

    def __init__(
        self, label: int = 2, trust: float | None = None, without: int = 0, meaning: str = "means"
    ) -> None:
        self.label, self.trust, self.without = label, trust, without
        self.decode_head = FakeHead(meaning)
        self.points: list[tuple[float, float]] = []

    def test_step(self, data: dict[str, Any]) -> list[SegDataSample]:
        label = self.without if self.decode_head.is_off else self.label
        for sample in data["data_samples"]:
            sample.pred_sem_seg = PixelData(data=torch.full((1, HEIGHT, WIDTH), label))
            if self.trust is not None:
                heat = torch.full((1, HEIGHT, WIDTH), self.trust)
                sample.trusty_map = PixelData(data=heat)
        return data["data_samples"]

    def attention_maps(self, data: dict[str, Any]) -> list[torch.Tensor]:
        """From 0.2 at the left to 0.3 at the right."""
        return [torch.linspace(0.2, 0.3, WIDTH).expand(len(CLASSES), HEIGHT, WIDTH)]

    def region_at(self, data: dict[str, Any], point: tuple[float, float]) -> ImageRegions:
        """Two regions, left and right; the right one attends to the left one."""
        self.points.append(point)
        places: Any = [(0, 0, WIDTH / 2, HEIGHT), (WIDTH / 2, 0, WIDTH, HEIGHT)]
        return ImageRegions(places, region=1, routes=[0], regions_a_side=(1, 2))


def visualizer(*backends: Any) -> Any:
    """What a runner's visualizer is to a hook."""
    return SimpleNamespace(_vis_backends={str(i): b for i, b in enumerate(backends)})
