"""The trusty map over its image (TagCLIP, Fig. 4)."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from .colour_bar import colour_bar
from .method import Method, font_size_for, trusty_map
from .overlay import draw_heat_map
from .sheet import make_sheet

OPACITY = 0.6


def trust_figure(methods: Sequence[Method], panel_height: int = 224) -> Image.Image:
    """Rows of image, ground truth and M_A of each method, with a colour bar.

    Args:
        methods: whose heads have a trusty map.
        panel_height: pixels.
    """
    size = font_size_for(panel_height)
    rows = []
    for row in range(len(methods[0].indices)):
        scene = methods[0].scene(row, panel_height)
        pictures = [scene.picture(), scene.coloured(scene.labels, size)]
        for method in methods:
            heat = scene.resized_map(trusty_map(method.predict(row)))
            pictures.append(draw_heat_map(scene.image, heat, OPACITY))
        rows.append([*pictures, colour_bar(panel_height, size, OPACITY)])
    names = [f"Trusty map, {method.title}" for method in methods]
    titles = ["Image", "Ground truth", *(names if len(names) > 1 else ["Trusty map"]), ""]
    note = (
        "Trusty map: probability that a pixel is of a seen class (0 blue, 1 red). Unseen names in "
        "red."
    )
    return make_sheet(rows, titles, gap=8, note=note, font_size=size + 2)
