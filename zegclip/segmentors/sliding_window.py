"""Overlapping windows over an image, their predictions averaged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from zegclip.heads import HeadPrediction

Box = tuple[int, int, int, int]  # top, left, bottom, right; pixels, the ends not included


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


def window_batches(
    size: tuple[int, int], crop_size: tuple[int, int], stride: tuple[int, int], at_once: int
) -> Iterator[list[Box]]:
    """The windows of an image, row by row, in groups that are run together.

    Args:
        size: (H, W) of the image; sides shorter than the window are one window.
        crop_size: (h, w) of a window, pixels.
        stride: steps between windows, pixels.
        at_once: windows a group.
    """
    height, width = min(crop_size[0], size[0]), min(crop_size[1], size[1])
    boxes = [
        (top, left, top + height, left + width)
        for top in window_starts(size[0], height, stride[0])
        for left in window_starts(size[1], width, stride[1])
    ]
    for first in range(0, len(boxes), at_once):
        yield boxes[first : first + at_once]


def cut_windows(image: Tensor, boxes: Sequence[Box]) -> Tensor:
    """Windows of a batch of images, ``(B, 3, H, W)`` -> ``(len(boxes) * B, 3, h, w)``."""
    return torch.cat([image[..., top:bottom, left:right] for top, left, bottom, right in boxes])


def padded_windows(
    image: Tensor, test_cfg: Mapping[str, Any], patch_size: int
) -> Iterator[tuple[list[Box], Tensor]]:
    """The windows that a model sees of a batch of images, each padded to whole patches.

    Args:
        image: ``(B, 3, H, W)``.
        test_cfg: of the segmentor, complete.
        patch_size: pixels.

    Yields:
        Groups: the windows' boxes and :func:`cut_windows` of them. ``mode="whole"``: one window.
    """
    size = (image.shape[-2], image.shape[-1])
    whole = test_cfg["mode"] == "whole"
    batches = window_batches(
        size,
        size if whole else test_cfg["crop_size"],
        size if whole else test_cfg["stride"],
        max(test_cfg["window_batch"] // len(image), 1),
    )
    for boxes in batches:
        yield boxes, pad_to_multiple(cut_windows(image, boxes), patch_size)


def without_window_padding(prediction: HeadPrediction, boxes: Sequence[Box]) -> HeadPrediction:
    """Maps of padded windows without what :func:`padded_windows` added to them."""
    top, left, bottom, right = boxes[0]
    return HeadPrediction(
        *(
            None if maps is None else maps[..., : bottom - top, : right - left]
            for maps in prediction
        )
    )


def average_windows(
    predictions: Iterable[tuple[Sequence[Box], HeadPrediction]], size: tuple[int, int]
) -> HeadPrediction:
    """Put the predictions of windows together; where windows overlap, their mean.

    Args:
        predictions: groups of windows and their maps, laid out as :func:`cut_windows` does.
        size: (H, W) of the image.

    Returns:
        Maps of size ``(H, W)``.

    Source: ZegCLIP, published code (window 512, stride 426).
    """
    sums: list[Tensor | None] = [None, None]
    counts: Tensor | None = None
    for boxes, prediction in predictions:
        if list(boxes) == [(0, 0, *size)]:
            return prediction
        for place, maps in enumerate(prediction):
            if maps is None:
                continue
            batch_size = len(maps) // len(boxes)
            total = sums[place]
            if total is None:
                total = maps.new_zeros(batch_size, maps.shape[1], *size)
                sums[place] = total
            for (top, left, bottom, right), part in zip(boxes, maps.split(batch_size)):
                total[..., top:bottom, left:right] += part
        if counts is None:
            counts = prediction.probabilities.new_zeros(1, 1, *size)
        for top, left, bottom, right in boxes:
            counts[..., top:bottom, left:right] += 1
    probabilities, trusty_map = (None if total is None else total / counts for total in sums)
    assert probabilities is not None
    return HeadPrediction(probabilities, trusty_map)
