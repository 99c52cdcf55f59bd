"""From maps of what the model was given back to the image as it is on disk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def without_padding(metainfo: Mapping[str, Any], size: torch.Size) -> tuple[slice, slice]:
    """Rows and columns that are image, where the data preprocessor padded for the test."""
    padding = metainfo.get("img_padding_size") or metainfo.get("padding_size") or (0, 0, 0, 0)
    left, right, top, bottom = padding
    return slice(top, size[0] - bottom), slice(left, size[1] - right)


def restored(maps: Tensor, size: tuple[int, int], flip: str | None) -> Tensor:
    """Undo a test-time flip and go to the original size: ``(1, C, h, w)`` -> ``(C, H, W)``."""
    if flip is not None:
        maps = maps.flip(-1 if flip == "horizontal" else -2)
    if maps.shape[-2:] != tuple(size):
        maps = F.interpolate(maps, size=tuple(size), mode="bilinear", align_corners=False)
    return maps[0]
