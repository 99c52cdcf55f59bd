"""A sheet of a data set's samples as its pipeline makes them: image and labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from .overlay import draw_labels
from .sheet import make_sheet


def dataset_sheet(
    dataset: Any, indices: Sequence[int], bgr: bool = True, panel_height: int = 256
) -> Image.Image:
    """Draw samples beside their labels, names of unseen classes in red.

    Ignored pixels (background, void, and unseen ones in inductive training) stay as they are.

    Args:
        dataset: with its pipeline; augmentation is random.
        indices: which samples.
        bgr: whether the pipeline's images are BGR, as mmcv loads them.
        panel_height: about how many pixels high a picture is; small ones are enlarged.
    """
    meta = dataset.metainfo
    rows = []
    for index in indices:
        packed = dataset[index]
        image = packed["inputs"].numpy().transpose(1, 2, 0)
        image = np.ascontiguousarray(image[..., ::-1] if bgr else image).astype(np.uint8)
        sample = packed["data_samples"]
        labels = sample.gt_sem_seg.data[0].numpy()
        if labels.shape != image.shape[:2]:  # a test pipeline resizes the image alone
            size = (labels.shape[1], labels.shape[0])
            image = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))
        scale = max(1, round(panel_height / image.shape[0]))
        bare = np.full(labels.shape, 255)
        drawn = draw_labels(
            image, labels, meta["classes"], meta["palette"], meta["unseen"], scale=scale
        )
        rows.append([draw_labels(image, bare, (), (), scale=scale), drawn])
    return make_sheet(rows, ["image", "labels (unseen classes in red; bare: ignored)"])
