"""A sheet of predictions: image, ground truth, prediction and, where there is one, trusty map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.dataset import pseudo_collate
from PIL import Image

from .overlay import draw_heat_map, draw_labels
from .sheet import make_sheet


def images_with_unseen(dataset: Any, count: int, among: int = 100) -> list[int]:
    """Indices of the images whose labels hold most unseen classes, in the data set's order.

    Args:
        dataset: a test data set whose items carry ``gt_sem_seg``.
        count: how many.
        among: only the first so many images are looked at.
    """
    unseen = [dataset.metainfo["classes"].index(name) for name in dataset.metainfo["unseen"]]
    scores = []
    for index in range(min(among, len(dataset))):
        labels = np.unique(dataset[index]["data_samples"].gt_sem_seg.data.numpy())
        labels = labels[labels < len(dataset.metainfo["classes"])]  # 255 is ignored
        # Most unseen classes first; among equals, those with seen ones beside them.
        scores.append((np.isin(labels, unseen).sum(), len(labels), -index))
    return sorted(-score[2] for score in sorted(scores, reverse=True)[:count])


@torch.no_grad()
def prediction_sheet(
    model: Any, dataset: Any, indices: Sequence[int], panel_height: int = 192
) -> Image.Image:
    """Predict some images of a data set and draw them.

    Args:
        model: a segmentor in evaluation mode with the data set's vocabulary.
        dataset: a test data set.
        indices: which images.
        panel_height: about how many pixels high a picture is; small images are enlarged.
    """
    meta = dataset.metainfo
    names, palette, unseen = meta["classes"], meta["palette"], meta["unseen"]
    rows: list[list[Image.Image]] = []
    titles = ["image", "ground truth", "prediction"]
    for index in indices:
        (sample,) = model.test_step(pseudo_collate([dataset[index]]))
        with Image.open(sample.img_path) as file:
            image = np.asarray(file.convert("RGB"))
        scale = max(1, round(panel_height / image.shape[0]))
        maps = [
            sample.gt_sem_seg.data[0].cpu().numpy().astype(np.uint8),
            sample.pred_sem_seg.data[0].cpu().numpy().astype(np.uint8),
        ]
        # What is ignored in the ground truth (background, void) counts nowhere: leave it bare.
        maps[1] = np.where(maps[0] == 255, np.uint8(255), maps[1])
        row = [draw_labels(image, np.full(image.shape[:2], 255, np.uint8), (), (), scale=scale)]
        row += [draw_labels(image, map_, names, palette, unseen, scale=scale) for map_ in maps]
        if "trusty_map" in sample:
            heat = sample.trusty_map.data[0].cpu().numpy()
            row.append(draw_heat_map(image, heat, scale=scale))
        rows.append(row)
    if rows and len(rows[0]) > len(titles):
        titles.append("trusty map (red: seen)")
    return make_sheet(rows, titles)
