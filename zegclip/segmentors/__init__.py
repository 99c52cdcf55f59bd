"""The segmentor that all methods share."""

from .image_prediction import ImagePrediction, predictions_of_images
from .sliding_window import cut_windows, to_original
from .tta_model import ZeroShotTTAModel
from .zero_shot_segmentor import EncodedWindows, ZeroShotSegmentor

__all__ = [
    "EncodedWindows",
    "ImagePrediction",
    "ZeroShotSegmentor",
    "ZeroShotTTAModel",
    "cut_windows",
    "predictions_of_images",
    "to_original",
]
