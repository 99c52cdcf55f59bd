"""Shares and pictures of a result."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from PIL import ImageDraw

from zegclip.apis import SegmentationResult
from zegclip.errors import InputError
from zegclip.heads import HeadOutput
from zegclip.segmentors import ImagePrediction, as_prediction


@pytest.fixture
def result() -> SegmentationResult:
    labels = np.zeros((40, 80), np.int64)
    labels[:, 60:] = 2
    grey = np.full((40, 80, 3), 100, np.uint8)
    maps = torch.arange(3 * 4 * 8.0).view(1, 3, 4, 8)
    windows = [((0, 0, 4, 8), HeadOutput(maps))]
    prediction = ImagePrediction(windows, (4, 8), 1, as_prediction)
    return SegmentationResult(grey, labels, prediction, ("cat", "dog", "bus"))


def test_areas(result: SegmentationResult) -> None:
    assert result.areas() == {"cat": 0.75, "dog": 0.0, "bus": 0.25}
    assert result.largest() == [0, 2] and result.largest(1) == [0]
    assert repr(result) == "SegmentationResult(80x40, 3 classes: cat 75.0%, bus 25.0%)"


def test_scores(result: SegmentationResult) -> None:
    assert result.probabilities.shape == (3, 4, 8) and result.scores.shape == (3, 40, 80)
    assert result.scores_at(79, 39) == {"cat": 31, "dog": 63, "bus": 95}
    assert result.scores_at(10, 9) == {"cat": 1, "dog": 33, "bus": 65}


def test_a_result_goes_to_another_process(result: SegmentationResult) -> None:
    other = pickle.loads(pickle.dumps(result))
    np.testing.assert_array_equal(other.scores, result.scores)
    assert other.scores_at(10, 9) == result.scores_at(10, 9)


def test_drawing(result: SegmentationResult) -> None:
    picture = np.asarray(result.draw(opacity=0.5))
    for x, label in ((1, 0), (78, 2)):
        np.testing.assert_allclose(
            picture[1, x], 50 + np.array(result.palette[label]) / 2, atol=1.5
        )
    assert result.draw(legend=False).size == (80, 40)
    # The legend has the colours of what is there.
    legend = {tuple(colour) for colour in picture[:, 80:].reshape(-1, 3).tolist()}
    assert [colour in legend for colour in result.palette] == [True, False, True]


def test_none_of_the_classes_is_left_as_it_is_and_named() -> None:
    grey, labels = np.full((40, 80, 3), 128, np.uint8), np.full((40, 80), 255)
    labels[:, 60:] = 1
    result = SegmentationResult(grey, labels, None, ("cat", "dog"), background=True)
    assert result.areas() == {"cat": 0.0, "dog": 0.25, "none of these": 0.75}
    assert result.summary() == "dog 25.0%, none of these 75.0%"
    picture = np.asarray(result.draw(legend=False))
    assert (picture[:, :60] == 128).all() and (picture[:, 60:] != 128).any()
    nothing = SegmentationResult(grey, np.full((40, 80), 255), None, ("cat",), background=True)
    assert nothing.largest() == [] and nothing.draw().width > 80


@pytest.mark.parametrize("legend", [True, "all"])
def test_a_legend_names_the_largest_and_counts_the_others(
    legend: bool | str, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = np.arange(40 * 80).reshape(40, 80) % 28
    labels[20:] = 29
    names = [*(f"class {index}" for index in range(29)), "a very long name"]
    grey = np.full((40, 80, 3), 100, np.uint8)
    result, texts = SegmentationResult(grey, labels, None, names, background=True), []
    write = ImageDraw.ImageDraw.text
    monkeypatch.setattr(
        "PIL.ImageDraw.ImageDraw.text",
        lambda pen, place, text, *rest, **options: (
            texts.append(text),
            write(pen, place, text, *rest, **options),
        ),
    )
    sheet = result.draw(legend=legend)
    assert len(texts) == 26 and any(text.startswith("a very long name") for text in texts)
    assert texts[-1] == f"... and {6 if legend == 'all' else 5} more"
    other = SegmentationResult(grey, labels * 0, None, names, background=True)
    if legend == "all":  # another frame of the video
        assert other.draw(legend=legend).size == sheet.size


@pytest.mark.parametrize("opacity", [1.5, -0.1, float("nan")])
def test_an_opacity_is_between_0_and_1(result: SegmentationResult, opacity: float) -> None:
    with pytest.raises(InputError, match=f"opacity={opacity} is not between 0 and 1"):
        result.draw(opacity)


def test_many_classes_and_a_single_pixel_can_be_drawn() -> None:
    labels = np.arange(200 * 3).reshape(20, 30) % 200
    names = [f"class {index}" for index in range(200)]
    grey = np.full((20, 30, 3), 100, np.uint8)
    assert SegmentationResult(grey, labels, None, names).draw().height < 600
    assert SegmentationResult(grey[:1, :1], labels[:1, :1], None, names).draw().width > 1
