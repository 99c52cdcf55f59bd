"""Shares and pictures of a result."""

from __future__ import annotations

import numpy as np
import pytest

from zegclip.apis import SegmentationResult


@pytest.fixture
def result() -> SegmentationResult:
    labels = np.zeros((40, 80), np.int64)
    labels[:, 60:] = 2
    grey = np.full((40, 80, 3), 100, np.uint8)
    return SegmentationResult(grey, labels, np.ones((3, 4, 8)), ("cat", "dog", "bus"))


def test_areas(result: SegmentationResult) -> None:
    assert result.areas() == {"cat": 0.75, "dog": 0.0, "bus": 0.25}
    assert result.largest() == [0, 2] and result.largest(1) == [0]
    assert repr(result) == "SegmentationResult(80x40, 3 classes: cat 75.0%, bus 25.0%)"
    assert result.scores.shape == (3, 40, 80)


def test_drawing_blends_each_class_with_its_colour(result: SegmentationResult) -> None:
    picture = np.asarray(result.draw(opacity=0.5, legend=False))
    scale = picture.shape[0] // 40
    assert picture.shape == (40 * scale, 80 * scale, 3) and scale > 1
    for x, label in ((1, 0), (78, 2)):
        expected = 50 + np.array(result.palette[label]) / 2
        np.testing.assert_allclose(picture[1, x * scale], expected, atol=1.5)
    assert np.asarray(result.draw(opacity=0, legend=False))[1, 1].tolist() == [100] * 3


def test_the_legend_has_the_colours_of_what_is_there(result: SegmentationResult) -> None:
    plain, with_legend = result.draw(1, legend=False), result.draw(1)
    column = np.asarray(with_legend)[:, plain.width :].reshape(-1, 3)
    found = {tuple(colour) for colour in np.unique(column, axis=0).tolist()}
    assert result.palette[0] in found and result.palette[2] in found
    assert result.palette[1] not in found


def test_many_classes_and_a_single_pixel_can_be_drawn() -> None:
    labels = np.arange(200 * 3).reshape(20, 30) % 200
    names = [f"class {index}" for index in range(200)]
    grey = np.full((20, 30, 3), 100, np.uint8)
    assert SegmentationResult(grey, labels, np.zeros(0), names).draw().height < 600
    assert SegmentationResult(grey[:1, :1], labels[:1, :1], np.zeros(0), names).draw().width > 1
