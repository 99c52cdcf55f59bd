"""The trusty map over its image."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.zegclip.visualization.test_figures import method, rows_of
from zegclip.visualization import FIGURES


def test_trusty_maps_of_methods_with_a_colour_bar(tmp_path: Path) -> None:
    sure = method(tmp_path, [[0, 2]], "A", trusty_map=1.0)
    unsure = method(tmp_path, [[0, 2]], "B", trusty_map=0.5, another_map=0.0)
    figure = FIGURES.get("trust")([sure, unsure])
    ((image, truth, first, second, bar),) = rows_of(figure)
    titles = ["Image", "Ground truth", "Trusty map, A", "Trusty map, B"]
    assert [axes.get_title("left") for axes in (image, truth, first, second)] == titles
    assert (first.images[1].get_array() == 1).all() and (second.images[1].get_array() == 0.5).all()
    # The bar is coloured as the maps are: red for 1, at its top.
    top, bottom = (bar.images[0].to_rgba(np.array([[value]]))[0, 0] for value in (1.0, 0.0))
    assert top[0] > top[2] and bottom[2] > bottom[0]
    assert first.images[1].get_cmap().name == bar.images[0].get_cmap().name
    assert "probability that a pixel is of a seen class" in figure.texts[0].get_text()
