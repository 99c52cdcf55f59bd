"""Windows cover every pixel, and their predictions are averaged."""

from __future__ import annotations

import pytest
import torch

from zegclip.heads import HeadPrediction
from zegclip.segmentors.sliding_window import (
    average_windows,
    cut_windows,
    pad_to_multiple,
    window_batches,
    window_starts,
)


@pytest.mark.parametrize(
    ("length", "window", "stride", "starts"),
    [
        (512, 512, 426, [0]),
        (683, 512, 426, [0, 171]),
        (938, 512, 426, [0, 426]),
        (939, 512, 426, [0, 426, 427]),
        (8, 4, 2, [0, 2, 4]),
    ],
)
def test_window_starts(length: int, window: int, stride: int, starts: list[int]) -> None:
    assert window_starts(length, window, stride) == starts


@pytest.mark.parametrize("window_batch", [1, 3, 100])
@pytest.mark.parametrize("size", [(8, 8), (13, 21), (5, 30)])
def test_equals_a_plain_loop(size: tuple[int, int], window_batch: int) -> None:
    image = torch.randn(2, 3, *size)
    crop, stride = (8, 8), (5, 3)

    def predict(window: torch.Tensor) -> HeadPrediction:
        # Depends on the whole window, so that it matters which windows a pixel was in.
        return HeadPrediction(window[:, :2] + window.mean((1, 2, 3), keepdim=True), window[:, :1])

    height, width = min(8, size[0]), min(8, size[1])
    total, count = torch.zeros(2, 2, *size), torch.zeros(*size)
    for y in window_starts(size[0], height, 5):
        for x in window_starts(size[1], width, 3):
            maps = predict(image[..., y : y + height, x : x + width]).probabilities
            total[..., y : y + height, x : x + width] += maps
            count[y : y + height, x : x + width] += 1
    assert count.min() >= 1
    groups = list(window_batches(size, crop, stride, window_batch))
    assert all(len(boxes) <= window_batch for boxes in groups)
    result = average_windows(((b, predict(cut_windows(image, b))) for b in groups), size)
    torch.testing.assert_close(result.probabilities, total / count)
    assert result.trusty_map is not None
    torch.testing.assert_close(result.trusty_map, image[:, :1])


def test_pad_to_multiple() -> None:
    image = torch.ones(1, 3, 9, 16)
    padded = pad_to_multiple(image, 8)
    assert padded.shape == (1, 3, 16, 16)
    assert torch.equal(padded[..., :9, :], image) and padded[..., 9:, :].sum() == 0
    assert pad_to_multiple(padded, 8) is padded
