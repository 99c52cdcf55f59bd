"""Overlapping windows over an image, their predictions averaged."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from zegclip.heads import HeadPrediction


def window_starts(length: int, window: int, stride: int) -> list[int]:
    """First pixels of the windows along one side; the last window ends with the image.

    Args:
        length: side of the image, pixels.
        window: side of a window; at most ``length``.
        stride: step between windows.
    """
    count = max(length - window + stride - 1, 0) // stride + 1
    return [min(index * stride, length - window) for index in range(count)]


def pad_to_multiple(image: Tensor, multiple: int) -> Tensor:
    """Zeros (the mean colour, after normalisation) at right and bottom, up to a multiple.

    Args:
        image: ``(B, 3, H, W)``.
        multiple: of pixels.
    """
    height, width = image.shape[-2:]
    bottom, right = -height % multiple, -width % multiple
    return F.pad(image, (0, right, 0, bottom)) if bottom or right else image


def sliding_windows(
    predict: Callable[[Tensor], HeadPrediction],
    image: Tensor,
    crop_size: tuple[int, int],
    stride: tuple[int, int],
    window_batch: int = 4,
) -> HeadPrediction:
    """Average the predictions of overlapping windows.

    Args:
        predict: from a batch of windows ``(N, 3, h, w)`` to their prediction.
        image: ``(B, 3, H, W)``; sides shorter than the window are one window.
        crop_size: (h, w) of a window, pixels.
        stride: steps between windows, pixels.
        window_batch: windows run at once.

    Returns:
        Maps of size ``(H, W)``.

    Source: ZegCLIP, published code (window 512, stride 426).
    """
    height, width = image.shape[-2:]
    crop_height, crop_width = min(crop_size[0], height), min(crop_size[1], width)
    boxes = [
        (top, left)
        for top in window_starts(height, crop_height, stride[0])
        for left in window_starts(width, crop_width, stride[1])
    ]
    if len(boxes) == 1:
        return predict(image)

    batch_size = len(image)
    sums: list[Tensor | None] = [None, None]
    counts = image.new_zeros(1, 1, height, width)
    at_once = max(window_batch // batch_size, 1)
    for first in range(0, len(boxes), at_once):
        some = boxes[first : first + at_once]
        windows = torch.cat([image[..., y : y + crop_height, x : x + crop_width] for y, x in some])
        for place, maps in enumerate(predict(windows)):
            if maps is None:
                continue
            total = sums[place]
            if total is None:
                total = maps.new_zeros(batch_size, maps.shape[1], height, width)
                sums[place] = total
            for (y, x), window_maps in zip(some, maps.split(batch_size), strict=True):
                total[..., y : y + crop_height, x : x + crop_width] += window_maps
        for y, x in some:
            counts[..., y : y + crop_height, x : x + crop_width] += 1
    probabilities, trusty_map = (None if total is None else total / counts for total in sums)
    assert probabilities is not None
    return HeadPrediction(probabilities, trusty_map)
