"""PASCAL VOC 2012, without background (20 classes) and with it (21)."""

from __future__ import annotations

import os
from typing import Any

from mmseg.registry import DATASETS

from .base import ZeroShotDataset


@DATASETS.register_module()
class VOC20Dataset(ZeroShotDataset):
    """VOC 2012's 20 classes; background and void are ignored.

    The devkit's layout with SBD's additional masks (aug): training is train.txt + aug.txt, 10,582
    images, validation val.txt, 1,449. A mask is looked for in the folder that ``data_prefix``
    names, then in the other one: VOC's own masks are in SegmentationClass (2,913), SBD's in
    SegmentationClassAug, which in some trees repeats VOC's and in others does not. Without SBD's,
    train on the 1,464 images of train.txt alone.

    Split (15 seen, 5 unseen): ZegCLIP, Sec. 4.1.
    """

    METAINFO = dict(
        classes=(
            "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
            "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa",
            "train", "tvmonitor",
        ),
        palette=[
            [128, 0, 0], [0, 128, 0], [128, 128, 0], [0, 0, 128], [128, 0, 128], [0, 128, 128],
            [128, 128, 128], [64, 0, 0], [192, 0, 0], [64, 128, 0], [192, 128, 0], [64, 0, 128],
            [192, 0, 128], [64, 128, 128], [192, 128, 128], [0, 64, 0], [128, 64, 0], [0, 192, 0],
            [128, 192, 0], [0, 64, 128],
        ],
        unseen=("pottedplant", "sheep", "sofa", "train", "tvmonitor"),
        synonyms={
            "diningtable": ("dining table",),
            "pottedplant": ("potted plant",),
            "tvmonitor": ("tv monitor",),
        },
        dataset_name="PASCAL VOC 2012 (20 classes)",
        ignore_rule="background (label 0) and void (label 255) ignored",
    )  # fmt: skip
    LAYOUT = (
        "JPEGImages/*.jpg, SegmentationClass/*.png, SegmentationClassAug/*.png and "
        "ImageSets/Segmentation/{train,aug,val}.txt (VOC's devkit and SBD's additional masks)"
    )
    MASK_FOLDERS = ("SegmentationClass", "SegmentationClassAug")

    def __init__(
        self,
        reduce_zero_label: bool = True,
        held_out_file: str | None = "ImageSets/Segmentation/val.txt",
        **kwargs: Any,
    ) -> None:
        super().__init__(reduce_zero_label=reduce_zero_label, held_out_file=held_out_file, **kwargs)

    def mask_folders(self) -> list[str]:
        """The folder that ``data_prefix`` names, then the devkit's other one."""
        named = super().mask_folders()
        if not named or os.path.basename(os.path.normpath(named[0])) not in self.MASK_FOLDERS:
            return named
        parent = os.path.dirname(os.path.normpath(named[0]))
        return list(dict.fromkeys(named + [os.path.join(parent, f) for f in self.MASK_FOLDERS]))


@DATASETS.register_module()
class VOC21Dataset(VOC20Dataset):
    """VOC 2012's 20 classes and the background, a seen class; void is ignored.

    Not the protocol of the papers' tables: there the background is ignored
    (:class:`VOC20Dataset`), and pAcc and mIoU(S) are other numbers.
    """

    METAINFO = VOC20Dataset.METAINFO | dict(
        classes=("background", *VOC20Dataset.METAINFO["classes"]),
        palette=[[0, 0, 0], *VOC20Dataset.METAINFO["palette"]],
        dataset_name="PASCAL VOC 2012 (21 classes, with background)",
        ignore_rule="background (label 0) is a class; void (label 255) ignored",
    )

    def __init__(self, reduce_zero_label: bool = False, **kwargs: Any) -> None:
        super().__init__(reduce_zero_label=reduce_zero_label, **kwargs)
