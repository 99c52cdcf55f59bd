"""The trusty map over its image."""

from __future__ import annotations

from pathlib import Path

from tagclip.figures import trust
from tests.zegclip.visualization.test_figures import method, rows_of


def test_trusty_maps_of_methods(tmp_path: Path) -> None:
    sure = method(tmp_path, [[0, 2]], "A", trusty_map=1.0)
    unsure = method(tmp_path, [[0, 2]], "B", trusty_map=0.5, another_map=0.0)
    figure = trust([sure, unsure])
    ((image, truth, first, second),) = rows_of(figure)
    titles = [axes.get_title("left").replace("\n", " ") for axes in (image, truth, first, second)]
    assert titles == ["Image", "Ground truth", "Trusty map, A", "Trusty map, B"]
    assert (first.images[1].get_array() == 1).all() and (second.images[1].get_array() == 0.5).all()
    assert "pixel is of a seen class" in figure.get_supxlabel().replace("\n", " ")
