"""The labels of a sample's file, before any pipeline hides or changes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from zegclip.errors import InputError

from .transforms import LoadCheckedAnnotations

# Exif 2.3, tag 274: values from 5 on are turned by a quarter.
_ORIENTATION, _FIRST_TURNED = 274, 5


def read_file_labels(info: Mapping[str, Any]) -> np.ndarray:
    """A sample's labels as its file has them, with the data set's own checks.

    The image is not decoded; only its header is read, for its size.

    Args:
        info: what :meth:`~zegclip.datasets.base.ZeroShotDataset.get_data_info` returns.

    Returns:
        ``(H, W)`` uint8 ids, 255 = ignored, in the image's size. Unseen classes are not hidden;
        ``reduce_zero_label`` and a selection of the classes are applied.

    Raises:
        InputError: the mask or its image cannot be read, or what
            :func:`~zegclip.datasets.label_checks.check_label_map` refuses.
    """
    results = {**info, "seg_fields": [], "ori_shape": image_shape(info["img_path"])}
    if "seg_map_path" not in results:
        raise InputError(
            f"{info['img_path']}: the data set has no masks (data_prefix.seg_map_path)"
        )
    try:
        return LoadCheckedAnnotations().transform(results)["gt_seg_map"]
    except OSError as error:
        raise InputError(f"{info['seg_map_path']}: cannot be read: {error}") from error


def image_shape(file: str) -> tuple[int, int]:
    """``(H, W)`` of an image as it is loaded: a photograph's EXIF orientation is applied.

    Raises:
        InputError: it is not there or no image.
    """
    try:
        with Image.open(file) as image:
            width, height = image.size
            turned = image.getexif().get(_ORIENTATION, 1) >= _FIRST_TURNED
    except UnidentifiedImageError:
        raise InputError(f"{file}: not a readable image (broken or cut short?)") from None
    except (OSError, SyntaxError) as error:
        raise InputError(f"{file}: not a readable image (broken or cut short?): {error}") from error
    return (width, height) if turned else (height, width)
