"""Predictions of methods side by side (TagCLIP, Fig. 1; LDVC, Fig. 4)."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from .method import Method, font_size_for, label_map
from .scene import bare_where_ignored
from .sheet import make_sheet

NOTE = (
    "Unseen classes in red. Pixels without a label in the ground truth count nowhere and are left "
    "bare."
)


def prediction_figure(methods: Sequence[Method], panel_height: int = 224) -> Image.Image:
    """Rows of image, ground truth and one prediction a method, with class names under each.

    Args:
        methods: with as many ``indices`` each; image and ground truth are the first one's.
        panel_height: pixels.
    """
    size = font_size_for(panel_height)
    rows = []
    for row in range(len(methods[0].indices)):
        scene = methods[0].scene(row, panel_height)
        pictures = [scene.picture(), scene.coloured(scene.labels, size)]
        for method in methods:
            labels = bare_where_ignored(label_map(method.predict(row)), scene.labels)
            pictures.append(scene.coloured(labels, size))
        rows.append(pictures)
    titles = ["Image", "Ground truth", *(method.title for method in methods)]
    return make_sheet(rows, titles, gap=8, note=NOTE, font_size=size + 2)
