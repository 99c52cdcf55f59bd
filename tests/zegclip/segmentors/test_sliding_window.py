"""Windows cover every pixel, and their predictions are averaged."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from zegclip.heads import Prediction
from zegclip.segmentors import cut_windows, merge_windows, to_original
from zegclip.segmentors.sliding_window import checked_test_cfg, window_starts


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
    test_cfg = dict(mode="slide", crop_size=(8, 8), stride=(5, 3), window_batch=window_batch)
    height, width = min(8, size[0]), min(8, size[1])

    def predict(window: torch.Tensor) -> Prediction:
        # Depends on the whole window, so that it matters which windows a pixel was in.
        mean = window[..., :height, :width].mean((1, 2, 3), keepdim=True)
        return Prediction(window[:, :2] + mean, {"first": window[:, :1]})

    total, count = torch.zeros(2, 2, *size), torch.zeros(*size)
    for y in window_starts(size[0], height, 5):
        for x in window_starts(size[1], width, 3):
            maps = predict(image[..., y : y + height, x : x + width]).probabilities
            total[..., y : y + height, x : x + width] += maps
            count[y : y + height, x : x + width] += 1
    assert count.min() >= 1
    groups = list(cut_windows(image, checked_test_cfg(test_cfg, 4), patch_size=4))
    assert all(len(boxes) <= window_batch for boxes, _ in groups)
    result = merge_windows(((boxes, predict(pixels)) for boxes, pixels in groups), size)
    torch.testing.assert_close(result.probabilities, total / count)
    torch.testing.assert_close(result.extra_maps["first"], image[:, :1])


def test_whole_images_are_padded_to_whole_patches() -> None:
    image = torch.ones(1, 3, 9, 16)
    ((boxes, pixels),) = cut_windows(image, checked_test_cfg({}, 8), patch_size=8)
    assert boxes == [(0, 0, 9, 16)] and pixels.shape == (1, 3, 16, 16)
    assert torch.equal(pixels[..., :9, :], image) and pixels[..., 9:, :].sum() == 0
    merged = merge_windows([(boxes, Prediction(pixels))], (9, 16))
    assert torch.equal(merged.probabilities, image)


def test_back_to_the_original_size() -> None:
    maps = torch.arange(16.0).view(1, 4, 4)
    padded = torch.nn.functional.pad(maps.flip(-1), (0, 2, 0, 3))  # flipped, then padded
    metainfo = {"flip": True, "flip_direction": "horizontal", "img_padding_size": (0, 2, 0, 3)}
    torch.testing.assert_close(to_original(padded, metainfo), maps)
    assert to_original(padded, {**metainfo, "ori_shape": (10, 7)}).shape == (1, 10, 7)


@pytest.mark.parametrize(
    ("test_cfg", "message"),
    [
        ({"mode": "window"}, "neither 'whole' nor 'slide'"),
        ({"mode": "slide"}, "crop_size=.* must be .height, width."),
        ({"mode": "slide", "crop_size": (30, 32), "stride": (8, 8)}, "multiples of the patch"),
        ({"mode": "slide", "crop_size": (32, 32), "stride": (40, 8)}, "pixels are left out"),
        ({"modus": "whole"}, "unknown.*modus"),
    ],
)
def test_settings_that_cannot_be(test_cfg: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        checked_test_cfg(test_cfg, patch_size=8)
