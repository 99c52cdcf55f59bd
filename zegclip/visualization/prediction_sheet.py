"""What one model predicts: image, ground truth, prediction and, where there is one, trusty map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PIL import Image

from .method import Method, font_size_for, label_map, trusty_map
from .overlay import draw_heat_map
from .prediction_figure import NOTE
from .scene import bare_where_ignored
from .sheet import make_sheet
from .trust_figure import OPACITY


def prediction_sheet(
    model: Any, dataset: Any, indices: Sequence[int], panel_height: int = 192
) -> Image.Image:
    """Predict some images of a data set and draw them.

    Args:
        model: a segmentor in evaluation mode with the data set's vocabulary.
        dataset: a test data set.
        indices: which images.
        panel_height: pixels of a picture's height.
    """
    method = Method("Prediction", model, dataset, indices)
    size = font_size_for(panel_height)
    rows = []
    titles = ["Image", "Ground truth", "Prediction"]
    for row in range(len(indices)):
        scene, sample = method.scene(row, panel_height), method.predict(row)
        labels = bare_where_ignored(label_map(sample), scene.labels)
        pictures = [scene.picture(), *(scene.coloured(m, size) for m in (scene.labels, labels))]
        if "trusty_map" in sample:
            heat = scene.resized_map(trusty_map(sample))
            pictures.append(draw_heat_map(scene.image, heat, OPACITY))
        rows.append(pictures)
    if rows and len(rows[0]) > len(titles):
        titles.append("Trusty map (red: seen)")
    return make_sheet(rows, titles, gap=8, note=NOTE, font_size=size + 2)
