"""Labels and maps over images."""

from __future__ import annotations

import numpy as np

from zegclip.visualization import draw_heat_map, draw_labels

IMAGE = np.full((6, 8, 3), 100, np.uint8)


def test_labels_are_coloured_and_ignored_pixels_kept() -> None:
    labels = np.full((6, 8), 255)
    labels[:, :3], labels[:, 5:] = 0, 1
    picture = draw_labels(IMAGE, labels, [(200, 0, 0), (0, 200, 0)], opacity=0.5).astype(int)
    assert (abs(picture[:, :3] - (150, 50, 50)) <= 1).all()
    assert (abs(picture[:, 5:] - (50, 150, 50)) <= 1).all()
    assert (picture[:, 3:5] == 100).all() and (IMAGE == 100).all()


def test_heat_map_goes_from_blue_to_red() -> None:
    heat = np.tile(np.linspace(-1, 2, 8), (6, 1))  # clipped to 0..1
    picture = draw_heat_map(IMAGE, heat, opacity=1.0).astype(int)
    assert picture.shape == IMAGE.shape
    assert picture[0, 0, 2] > 100 > picture[0, 0, 0] and picture[0, -1, 0] > 100 > picture[0, -1, 2]
