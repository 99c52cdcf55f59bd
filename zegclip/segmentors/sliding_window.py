"""Windows cut from an image, and the way back to the image's original size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from zegclip.errors import InputError
from zegclip.vocabulary import Background

Box = tuple[int, int, int, int]  # top, left, bottom, right; pixels, the ends not included
_MOST_VISITS = 8  # of a pixel by windows along one side; the configs' see it twice


def checked_test_cfg(test_cfg: Mapping[str, Any], patch_size: int) -> dict[str, Any]:
    """``test_cfg`` with its defaults.

    Args:
        test_cfg: ``mode`` (``"whole"`` or ``"slide"``) and, for ``"slide"``, ``crop_size`` and
            ``stride``, pairs of pixels (a stride is an eighth of a window or more), and
            ``window_batch``, how many windows are run at once (default: 4, on a CPU one, which
            stays in its cache). ``keep_probabilities``: whether samples get all classes'
            probabilities as well, ``seg_logits`` (default: no).
            ``background``: arguments of :class:`~zegclip.vocabulary.Background`, what is none of
            the classes: the class called ``background`` if there is one, else label 255
            (default: nothing is).
            ``refine``: ``"pamr"`` brings the maps to the image's edges, see
            :class:`~zegclip.segmentors.refinement.PixelAdaptiveRefinement` (default: no).
        patch_size: pixels.

    Raises:
        InputError: a setting that cannot be.
    """
    known = {
        "mode": "whole",
        "crop_size": None,
        "stride": None,
        "window_batch": None,
        "keep_probabilities": False,
        "background": None,
        "refine": None,
    }
    if unknown := set(test_cfg) - set(known):
        raise InputError(f"test_cfg: unknown {sorted(unknown)}; known are {sorted(known)}")
    checked = {**known, **test_cfg}
    if checked["background"] is not None:
        Background(**checked["background"])
    if checked["mode"] == "slide":
        checked |= _checked_windows(checked, patch_size)
    elif checked["mode"] != "whole":
        raise InputError(f"test_cfg: mode={checked['mode']!r} is neither 'whole' nor 'slide'")
    if checked["refine"] not in (None, "pamr"):
        raise InputError(f"test_cfg: refine={checked['refine']!r} is neither 'pamr' nor None")
    return checked


def _checked_windows(test_cfg: Mapping[str, Any], patch_size: int) -> dict[str, tuple[int, ...]]:
    """``crop_size`` and ``stride`` of windows that fit the patches and leave no pixel out."""
    for key in ("crop_size", "stride"):
        if not isinstance(test_cfg[key], Sequence):
            raise InputError(f"test_cfg: {key}={test_cfg[key]!r} must be (height, width)")
    crop, stride = tuple(test_cfg["crop_size"]), tuple(test_cfg["stride"])
    if len(crop) != 2 or any(side % patch_size for side in crop):
        raise InputError(
            f"test_cfg: crop_size={crop} must be (height, width) in multiples of the patch "
            f"size {patch_size}"
        )
    if len(stride) != 2 or any(not 1 <= s <= c for s, c in zip(stride, crop, strict=True)):
        raise InputError(
            f"test_cfg: stride={stride} must be between 1 and crop_size={crop}, or pixels are "
            "left out"
        )
    if any(_MOST_VISITS * s < c for s, c in zip(stride, crop, strict=True)):
        raise InputError(
            f"test_cfg: with stride={stride} windows of crop_size={crop} see a pixel more than "
            f"{_MOST_VISITS**2} times: take a stride of 1/{_MOST_VISITS} of it or more"
        )
    return {"crop_size": crop, "stride": stride}


def window_starts(length: int, window: int, stride: int) -> list[int]:
    """First pixels of the windows along one side; the last window ends with the image.

    Args:
        length: side of the image, pixels.
        window: side of a window; at most ``length``.
        stride: step between windows.
    """
    count = max(length - window + stride - 1, 0) // stride + 1
    return [min(index * stride, length - window) for index in range(count)]


def cut_windows(
    image: Tensor, test_cfg: Mapping[str, Any], patch_size: int
) -> Iterator[tuple[list[Box], Tensor]]:
    """The windows that a model sees of a batch of images, each padded to whole patches.

    Args:
        image: ``(B, 3, H, W)``.
        test_cfg: from :func:`checked_test_cfg`; ``mode="whole"``: one window.
        patch_size: pixels.

    Yields:
        Groups that are run together: their boxes in the image, and ``(len(boxes) * B, 3, h, w)``,
        the B images of each box in turn. Padding is 0 (the mean colour, after normalisation), at
        the bottom and on the right.
    """
    size = (image.shape[-2], image.shape[-1])
    slide = test_cfg["mode"] == "slide"
    crop = test_cfg["crop_size"] if slide else size
    stride = test_cfg["stride"] if slide else size
    height, width = min(crop[0], size[0]), min(crop[1], size[1])
    boxes = [
        (top, left, top + height, left + width)
        for top in window_starts(size[0], height, stride[0])
        for left in window_starts(size[1], width, stride[1])
    ]
    window_batch = test_cfg["window_batch"] or (1 if image.device.type == "cpu" else 4)
    at_once = max(window_batch // max(image.shape[0], 1), 1)
    for first in range(0, len(boxes), at_once):
        group = boxes[first : first + at_once]
        pixels = torch.cat([image[..., box[0] : box[2], box[1] : box[3]] for box in group])
        yield group, F.pad(pixels, (0, -width % patch_size, 0, -height % patch_size))


def image_axes(metainfo: Mapping[str, Any], size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """The rows and columns that are image, in its order: padding and test-time flip undone.

    Args:
        metainfo: of the sample.
        size: (H, W) of what the model was given.
    """
    padding = metainfo.get("img_padding_size") or metainfo.get("padding_size") or (0, 0, 0, 0)
    left, right, top, bottom = padding
    rows, columns = torch.arange(top, size[0] - bottom), torch.arange(left, size[1] - right)
    direction = metainfo["flip_direction"] if metainfo.get("flip") else ""
    if direction in ("vertical", "diagonal"):
        rows = rows.flip(0)
    if direction in ("horizontal", "diagonal"):
        columns = columns.flip(0)
    return rows, columns


def original_size(metainfo: Mapping[str, Any], default: tuple[int, int]) -> tuple[int, int]:
    """(H0, W0) of the image on disk; without an ``ori_shape`` the default."""
    height, width = metainfo.get("ori_shape", default)[:2]
    return height, width


def to_original(maps: Tensor, metainfo: Mapping[str, Any]) -> Tensor:
    """Maps of what the model was given, as maps of the image on disk.

    Args:
        maps: of one image, ``(K, H, W)``.
        metainfo: of its sample: padding, test-time flip and ``ori_shape`` are undone.

    Returns:
        ``(K, H0, W0)``.
    """
    axes = image_axes(metainfo, (maps.shape[-2], maps.shape[-1]))
    rows, columns = (axis.to(maps.device, non_blocking=True) for axis in axes)
    maps = maps[:, rows][..., columns]
    size = original_size(metainfo, (len(rows), len(columns)))
    if maps.shape[-2:] != size:
        maps = F.interpolate(maps[None], size=size, mode="bilinear", align_corners=False)[0]
    return maps
