"""The segmentor that all methods share."""

from .sliding_window import cut_windows, merge_windows, to_original
from .tta_model import ZeroShotTTAModel
from .zero_shot_segmentor import EncodedWindows, ZeroShotSegmentor

__all__ = [
    "EncodedWindows",
    "ZeroShotSegmentor",
    "ZeroShotTTAModel",
    "cut_windows",
    "merge_windows",
    "to_original",
]
