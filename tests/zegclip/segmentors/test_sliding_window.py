"""Windows cover every pixel."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from zegclip.segmentors import cut_windows, to_original
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
def test_windows_are_those_of_the_image(window_batch: int) -> None:
    image = torch.randn(2, 3, 13, 21)
    test_cfg = dict(mode="slide", crop_size=(8, 8), stride=(5, 3), window_batch=window_batch)
    boxes = []
    for group, pixels in cut_windows(image, checked_test_cfg(test_cfg, 4), patch_size=4):
        assert len(group) <= window_batch
        for (top, left, bottom, right), window in zip(group, pixels.split(2)):
            assert torch.equal(window, image[..., top:bottom, left:right])
        boxes += group
    expected = [(y, x) for y in window_starts(13, 8, 5) for x in window_starts(21, 8, 3)]
    assert [box[:2] for box in boxes] == expected


def test_whole_images_are_padded_to_whole_patches() -> None:
    image = torch.ones(1, 3, 9, 16)
    ((boxes, pixels),) = cut_windows(image, checked_test_cfg({}, 8), patch_size=8)
    assert boxes == [(0, 0, 9, 16)] and pixels.shape == (1, 3, 16, 16)
    assert torch.equal(pixels[..., :9, :], image) and pixels[..., 9:, :].sum() == 0


def test_back_to_the_original_size() -> None:
    maps = torch.arange(16.0).view(1, 4, 4)
    padded = torch.nn.functional.pad(maps.flip(-1), (0, 2, 0, 3))  # flipped, then padded
    metainfo = {"flip": True, "flip_direction": "horizontal", "img_padding_size": (0, 2, 0, 3)}
    torch.testing.assert_close(to_original(padded, metainfo), maps)
    assert to_original(padded, {**metainfo, "ori_shape": (10, 7)}).shape == (1, 10, 7)
    metainfo["padding_size"] = metainfo.pop("img_padding_size")  # mmseg's preprocessor says so
    torch.testing.assert_close(to_original(padded, metainfo), maps)


@pytest.mark.parametrize(
    ("test_cfg", "message"),
    [
        ({"mode": "window"}, "neither 'whole' nor 'slide'"),
        ({"mode": "slide"}, "crop_size=None must be .height, width."),
        ({"mode": "slide", "crop_size": 512, "stride": (8, 8)}, "crop_size=512 must be .height"),
        ({"mode": "slide", "crop_size": (30, 32), "stride": (8, 8)}, "multiples of the patch"),
        ({"mode": "slide", "crop_size": (32, 32), "stride": (40, 8)}, "pixels are left out"),
        ({"mode": "slide", "crop_size": (32, 32), "stride": (32, 3)}, "more than 64 times"),
        ({"modus": "whole"}, "unknown.*modus"),
        ({"refine": "crf"}, "refine='crf' is neither 'pamr' nor None"),
        ({"background": {"threshold": 2}}, "threshold"),
    ],
)
def test_settings_that_cannot_be(test_cfg: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        checked_test_cfg(test_cfg, patch_size=8)
