"""Scenes: exact masks and occlusion."""

from __future__ import annotations

import numpy as np
import pytest

from zegclip.datasets.mini.artwork import Drawing
from zegclip.datasets.mini.compositor import compose_scene, overlap, paste


def canvas(side: int) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros((side, side, 3), np.float32), np.zeros((side, side), np.uint8)


def test_mask_of_one_drawing_is_its_alpha() -> None:
    image, mask = canvas(40)
    image += 100
    alpha = np.zeros((10, 10, 1), np.float32)
    alpha[2:8, 3:9] = 1
    alpha[2] = 0.4  # less than half covered: background
    alpha[7, 3:9] = 0.5
    paste(image, mask, np.concatenate([[200, 200, 200] * alpha, alpha], axis=2), 5, 20, 1)
    expected = np.zeros_like(mask)
    expected[23:28, 8:14] = 1
    assert np.array_equal(mask, expected)
    assert np.allclose([image[24, 9], image[22, 9], image[0, 0]], [[200] * 3, [140] * 3, [100] * 3])


@pytest.mark.parametrize("x, y", [(-4, -3), (35, 36), (-20, 5), (60, 60)])
def test_paste_across_or_beyond_the_border(x: int, y: int) -> None:
    image, mask = canvas(40)
    paste(image, mask, np.ones((10, 10, 4), np.float32), x, y, 3)
    inside = max(0, min(x + 10, 40) - max(x, 0)) * max(0, min(y + 10, 40) - max(y, 0))
    assert (mask == 3).sum() == inside
    assert np.array_equal(image[..., 0] == 1, mask == 3)


def test_later_drawings_cover_earlier_ones() -> None:
    image, mask = canvas(20)
    for label, place in ((1, 0), (2, 5)):
        paste(image, mask, np.ones((10, 10, 4), np.float32), place, place, label)
    assert (mask == 1).sum() == 75 and (mask == 2).sum() == 100
    assert overlap((0, 0, 10, 10), (5, 0, 15, 10)) == 0.5
    assert overlap((0, 0, 10, 10), (5, 5, 10, 10)) == 1  # of the smaller
    assert overlap((0, 0, 10, 10), (10, 0, 20, 10)) == 0


def test_mask_of_a_scene_is_where_the_drawing_is_seen() -> None:
    red = np.full((20, 20, 4), (255, 0, 0, 255), np.uint8)
    square = Drawing("a", ("a",), "noto", "0", True, "train", red)
    scene = compose_scene([square], np.random.default_rng(0))
    # Mild jitter keeps the square far redder than any of the muted backgrounds' pixels.
    excess = scene.image[..., 0].astype(int) - scene.image[..., 1:].max(-1)
    inside = scene.mask == 1
    assert 0.05 < inside.mean() < 0.9
    assert (excess[inside] > 100).mean() > 0.98
    assert (excess[~inside] > 160).sum() < 0.05 * inside.sum()
