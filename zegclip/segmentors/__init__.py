"""The segmentor that all methods share."""

from .image_prediction import ImagePrediction, as_prediction, predictions_of_images
from .read_out import ReadOut
from .sliding_window import checked_test_cfg, cut_windows, to_original
from .tta_model import ZeroShotTTAModel
from .zero_shot_segmentor import EncodedWindows, ZeroShotSegmentor

__all__ = [
    "EncodedWindows",
    "ImagePrediction",
    "ReadOut",
    "ZeroShotSegmentor",
    "ZeroShotTTAModel",
    "as_prediction",
    "checked_test_cfg",
    "cut_windows",
    "predictions_of_images",
    "to_original",
]
