"""Small random models, and random images with labels, for a pass of all analyses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dataset import pseudo_collate

from tests.zegclip.segmentors.test_zero_shot_segmentor import build
from tests.zegclip.visualization.fakes import FakeDataset
from zegclip.segmentors import ZeroShotSegmentor

LABELS = [[0, 0, 1, 2], [2, 1], [0, 255, 2, 2, 1]]
DECODER = {"num_heads": 4, "feedforward_channels": 32}


class NoiseDataset(FakeDataset):
    """Stripes of labels on random images, which the model gets twice as large."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, LABELS)

    def __getitem__(self, index: int) -> dict[str, Any]:
        data = super().__getitem__(index)
        generator = torch.Generator().manual_seed(index)
        data["inputs"] = torch.rand(3, 20, 40, generator=generator) * 255
        data["data_samples"].set_metainfo({"img_shape": (20, 40)})
        return data


def small_model(clip: Path, head: str, **decoder: Any) -> ZeroShotSegmentor:
    """A model that predicts all classes, by windows."""
    model = build(
        clip,
        decode_head={"type": head, "init_std": 0.3, "gamma": 0.01, "decoder": DECODER | decoder},
        data_preprocessor={"type": "mmseg.SegDataPreProcessor", "mean": [128] * 3, "std": [60] * 3},
        test_cfg={"mode": "slide", "crop_size": (16, 16), "stride": (8, 8)},
    )
    model.dataset_meta = NoiseDataset.metainfo
    return model


def predictions(model: ZeroShotSegmentor, dataset: NoiseDataset) -> list[tuple[np.ndarray, Any]]:
    """Of each image the ground truth, and the sample that a test returns."""
    found = []
    for index in range(len(dataset)):
        with torch.no_grad():
            (sample,) = model.test_step(pseudo_collate([dataset[index]]))
        found.append((sample.gt_sem_seg.data[0].numpy().astype(np.int64), sample))
    return found
