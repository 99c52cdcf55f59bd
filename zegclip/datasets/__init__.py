"""Vocabulary and split, data sets, and the transforms between a label file and training."""

from .base import ZeroShotDataset
from .files import MissingDataError
from .label_checks import LabelError, check_label_map
from .mini import MiniSceneDataset
from .transforms import HideUnseenLabels, LoadCheckedAnnotations, PackZeroShotInputs
from .voc import VOC20Dataset
from .vocabulary import Vocabulary, VocabularyError

__all__ = [
    "HideUnseenLabels",
    "LabelError",
    "LoadCheckedAnnotations",
    "MiniSceneDataset",
    "MissingDataError",
    "PackZeroShotInputs",
    "VOC20Dataset",
    "Vocabulary",
    "VocabularyError",
    "ZeroShotDataset",
    "check_label_map",
]
