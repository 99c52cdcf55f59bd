"""Overlays and sheets."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from zegclip.visualization import draw_heat_map, draw_labels, make_sheet
from zegclip.visualization.overlay import UNSEEN_COLOUR

CLASSES, PALETTE = ("cat", "sofa"), ((200, 0, 0), (0, 200, 0))


def labels() -> np.ndarray:
    label = np.full((60, 80), 255, np.uint8)
    label[5:55, 5:35], label[5:55, 45:75] = 0, 1
    return label


def has_colour(picture: Image.Image, colour: tuple[int, int, int]) -> bool:
    return bool((np.asarray(picture) == colour).all(-1).any())


def test_labels_are_coloured_and_ignored_pixels_kept() -> None:
    image = np.full((60, 80, 3), 100, np.uint8)
    picture = np.asarray(draw_labels(image, labels(), CLASSES, PALETTE, opacity=0.5, scale=2))
    assert picture.shape == (120, 160, 3)
    assert (picture[14, 14] == (150, 50, 50)).all() and (picture[14, 94] == (50, 150, 50)).all()
    assert (picture[2, 2] == 100).all()


def test_only_unseen_names_are_red() -> None:
    image = np.full((60, 80, 3), 100, np.uint8)
    arguments = (image, labels(), CLASSES, PALETTE)
    assert has_colour(draw_labels(*arguments, unseen=("sofa",), scale=4), UNSEEN_COLOUR)
    assert not has_colour(draw_labels(*arguments, unseen=(), scale=4), UNSEEN_COLOUR)


def test_sizes_must_agree() -> None:
    with pytest.raises(ValueError, match=r"image is \(4, 4\), labels are \(4, 5\)"):
        draw_labels(np.zeros((4, 4, 3), np.uint8), np.zeros((4, 5), np.uint8), CLASSES, PALETTE)


def test_heat_map_goes_from_blue_to_red() -> None:
    heat = np.tile(np.linspace(-1, 2, 30), (10, 1))
    picture = np.asarray(draw_heat_map(np.zeros((10, 30, 3), np.uint8), heat, opacity=1.0))
    red, blue = picture[0, :, 0].astype(int), picture[0, :, 2].astype(int)
    assert blue[0] > red[0] and red[-1] > blue[-1]


def test_sheet_places_every_picture() -> None:
    colours = ["red", "lime", "blue", "yellow"]
    pictures = [Image.new("RGB", (10 + i, 8), colour) for i, colour in enumerate(colours)]
    sheet = make_sheet([pictures[:2], pictures[2:]], ["image", "prediction"])
    assert all(has_colour(sheet, picture.getpixel((0, 0))) for picture in pictures)
    with pytest.raises(ValueError, match="every row needs 3 pictures"):
        make_sheet([pictures[:2]], ["a", "b", "c"])
