"""Data sets with a seen / unseen split, and the transforms between a label file and training."""

from .base import ZeroShotDataset
from .benchmarks import (
    ADE150Dataset,
    COCOStuff171Dataset,
    Context59Dataset,
    Context60Dataset,
    VOC20Dataset,
    VOC21Dataset,
)
from .images import LoadImageFromFile, read_image
from .masks import check_mask, read_mask
from .mini import MiniSceneDataset
from .photometric import FastPhotoMetricDistortion
from .random_crop import FastRandomCrop
from .sampler import InfiniteSampler
from .transforms import HideUnseenLabels, LoadCheckedAnnotations, PackZeroShotInputs

__all__ = [
    "ADE150Dataset",
    "COCOStuff171Dataset",
    "Context59Dataset",
    "Context60Dataset",
    "FastPhotoMetricDistortion",
    "FastRandomCrop",
    "HideUnseenLabels",
    "InfiniteSampler",
    "LoadCheckedAnnotations",
    "LoadImageFromFile",
    "MiniSceneDataset",
    "PackZeroShotInputs",
    "VOC20Dataset",
    "VOC21Dataset",
    "ZeroShotDataset",
    "check_mask",
    "read_image",
    "read_mask",
]
