"""The segmentor that all methods share."""

from .sliding_window import cut_windows, image_area, merge_windows, to_original
from .zero_shot_segmentor import EncodedWindows, ZeroShotSegmentor

__all__ = [
    "EncodedWindows",
    "ZeroShotSegmentor",
    "cut_windows",
    "image_area",
    "merge_windows",
    "to_original",
]
