"""The same crops as mmseg's."""

from __future__ import annotations

import numpy as np
import pytest
from mmseg.datasets.transforms import RandomCrop

from zegclip.datasets import FastRandomCrop


@pytest.mark.parametrize("ratio", [0.3, 0.75, 1.0])
@pytest.mark.parametrize("size", [(40, 60), (20, 20), (24, 70)])
def test_crops_are_mmsegs(size: tuple[int, int], ratio: float) -> None:
    generator = np.random.default_rng(0)
    coarse = generator.choice(np.array([0, 1, 1, 1, 7, 255], np.uint8), (5, 10))
    labels = np.kron(coarse, np.ones((size[0] // 5, size[1] // 10), np.uint8))
    image = generator.integers(0, 255, (*labels.shape, 3), dtype=np.uint8)
    boxes = []
    for kind in (RandomCrop, FastRandomCrop):
        np.random.seed(3)
        crop = kind((24, 24), cat_max_ratio=ratio)
        results = [
            crop({"img": image, "gt_seg_map": labels.copy(), "seg_fields": ["gt_seg_map"]})
            for _ in range(40)
        ]
        boxes.append(results)
    for theirs, ours in zip(*boxes, strict=True):
        assert np.array_equal(theirs["img"], ours["img"])
        assert np.array_equal(theirs["gt_seg_map"], ours["gt_seg_map"])
