"""Mask files: reading them as numbers, and checking that these are the labels of an image."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from PIL import Image

from zegclip.errors import InputError
from zegclip.vocabulary import IGNORE_INDEX

from .files import first_few
from .images import named_errors

# Pillow knows more formats, and starts other programs for some of them.
_MASKS = ("PNG", "TIFF", "BMP", "GIF", "JPEG")
# Greys of few bits, which Pillow stretches to 0..255, by this factor.
_STRETCHED = {"L;2": 85, "L;4": 17}


def read_mask(file: str | os.PathLike[str]) -> np.ndarray:
    """The numbers of a mask: a palette PNG's indices, not its colours.

    Args:
        file: an image of one channel, 8 or 16 bits.

    Returns:
        (H, W) integers, as the file has them.

    Raises:
        InputError: it cannot be read, has several channels, or is ambiguous.
    """
    name = os.fspath(file)
    with named_errors(name), Image.open(name, formats=_MASKS) as image:
        mode, stored, kind = image.mode, _stored_as(image), image.format
        mask = np.array(image)
    if kind == "JPEG":
        raise InputError(f"{name}: a JPEG, which does not keep labels; make it anew as a PNG")
    if mask.ndim != 2:
        raise InputError(
            f"{name}: several channels ({mode}), where a mask has one number a pixel. Replace each "
            "colour by its class's label and save that as an 8-bit grey or palette PNG"
        )
    if "I" in stored.partition(";")[2]:  # a TIFF whose 0 is white: Pillow turns its numbers round
        raise InputError(f"{name}: its numbers are inverted (0 is white); save it with 0 as black")
    if mode == "L" and stored[:3] in _STRETCHED:
        mask = mask // _STRETCHED[stored[:3]]
    if mask.dtype.kind not in "bui":
        raise InputError(f"{name}: {mask.dtype} values, where a mask has 8- or 16-bit integers")
    return mask.astype(np.uint8) if mask.dtype == bool else mask


def _stored_as(image: Any) -> str:
    """Pillow's "raw mode" of an image that is not loaded yet: how its pixels lie in the file."""
    arguments = image.tile[0][3] if image.tile else ""
    return str(arguments[0] if isinstance(arguments, tuple) else arguments)


def check_mask(
    mask: np.ndarray,
    name: str,
    num_classes: int,
    zero_ignored: bool = False,
    image_size: tuple[int, int] | None = None,
) -> None:
    """Refuse labels that would be misread.

    Args:
        mask: (H, W) integers as the file has them.
        name: of the file, for the message.
        num_classes: classes of the file, not counting what is ignored (255, and 0 if so said).
        zero_ignored: whether 0 is ignored, and the classes are ``1..num_classes``.
        image_size: (H, W) of the image that it labels; ``None``: not compared.

    Raises:
        InputError: another size than the image, or a value outside the classes.
    """
    if image_size is not None and mask.shape != image_size:
        ours, theirs = (f"{width}x{height}" for height, width in (mask.shape, image_size))
        fix = "; scale labels with nearest-neighbour interpolation"
        if mask.shape == image_size[::-1]:
            fix = (
                " (turned by its EXIF orientation?); turn the mask as the photograph is shown, or "
                "remove the photograph's EXIF orientation"
            )
        raise InputError(
            f"{name}: the mask is {ours} pixels (width x height), its image {theirs}{fix}"
        )
    first, last = int(zero_ignored), num_classes - 1 + int(zero_ignored)
    outside = ((mask < 0) | (mask > last)) & (mask != IGNORE_INDEX)
    if not outside.any():
        return
    bad = np.unique(mask[outside])
    hint = "Another class list, or a palette's colours turned into grey?"
    if not zero_ignored and list(bad) == [num_classes]:
        hint = (
            "Shifted by one? Masks of a data set in which 0 is the background need "
            "reduce_zero_label=True (zero_is_background in configs/custom_example.py); predictions "
            "are written as value - 1"
        )
    raise InputError(
        f"{name}: {outside.sum()} pixels have the label {first_few([*map(str, bad)])}, but the "
        f"{num_classes} classes are {first}..{last} "
        f"({'0 and 255 are' if zero_ignored else '255 is'} ignored). {hint}"
    )


def read_labels(sample: Mapping[str, Any], image_size: tuple[int, int] | None = None) -> np.ndarray:
    """A sample's labels as its file has them, checked; unseen classes are not hidden.

    Args:
        sample: what :meth:`~zegclip.datasets.base.ZeroShotDataset.get_data_info` returns.
        image_size: (H, W) of its image; ``None``: not compared.

    Returns:
        (H, W) uint8: ids of the data set's classes, 255 = ignored.

    Raises:
        InputError: the mask cannot be read, or does not fit.
    """
    zero_ignored = bool(sample.get("reduce_zero_label"))
    mask = read_mask(sample["seg_map_path"])
    check_mask(mask, sample["seg_map_path"], sample["num_classes"], zero_ignored, image_size)
    table = np.arange(256, dtype=np.uint8)
    for label, new in (sample.get("label_map") or {}).items():  # a selection of the classes
        table[label] = new
    if zero_ignored:  # 0, 1, 2, ... in the file are 255, 0, 1, ...
        table = np.array([IGNORE_INDEX, *table[: IGNORE_INDEX - 1], IGNORE_INDEX], np.uint8)
    return cv2.LUT(mask, table) if mask.dtype == np.uint8 else table[mask]
