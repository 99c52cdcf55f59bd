"""Vocabulary and split, data sets, and the transforms between a label file and training."""

from zegclip.vocabulary import Vocabulary

from .ade import ADE150Dataset
from .base import ZeroShotDataset
from .coco_stuff import COCOStuff171Dataset
from .context import Context59Dataset, Context60Dataset
from .label_checks import check_label_map
from .mini import MiniSceneDataset
from .transforms import HideUnseenLabels, LoadCheckedAnnotations, PackZeroShotInputs
from .voc import VOC20Dataset, VOC21Dataset

__all__ = [
    "ADE150Dataset",
    "COCOStuff171Dataset",
    "Context59Dataset",
    "Context60Dataset",
    "HideUnseenLabels",
    "LoadCheckedAnnotations",
    "MiniSceneDataset",
    "PackZeroShotInputs",
    "VOC20Dataset",
    "VOC21Dataset",
    "Vocabulary",
    "ZeroShotDataset",
    "check_label_map",
]
