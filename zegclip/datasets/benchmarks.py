"""The benchmarks: class lists, ignore rules and the papers' splits (ZegCLIP, Sec. 4.1)."""

from __future__ import annotations

import os

from mmseg.datasets import (
    ADE20KDataset,
    COCOStuffDataset,
    PascalContextDataset59,
    PascalVOCDataset,
)
from mmseg.registry import DATASETS

from .base import ZeroShotDataset

_PREPARE = "python tools/prepare_dataset.py {} --archives data/archives --out data"
_BACKGROUND_IGNORED = "background (label 0) and void (label 255) ignored"
_BACKGROUND_IS_A_CLASS = "background (label 0) is a class; void (label 255) ignored"
_VOC, _CONTEXT = PascalVOCDataset.METAINFO, PascalContextDataset59.METAINFO


@DATASETS.register_module()
class VOC20Dataset(ZeroShotDataset):
    """PASCAL VOC 2012's 20 classes (15 seen, 5 unseen); background and void are ignored.

    The devkit's layout with SBD's additional masks (aug): training is train.txt + aug.txt, 10,582
    images, validation val.txt, 1,449. Whichever of the two folders ``data_prefix`` names, a mask is
    looked for in SegmentationClass first, which holds VOC's own (2,913), then in
    SegmentationClassAug: in mmseg's trees that one holds SBD's masks of VOC's images too, with
    other contours and without void. Without SBD's, train on the 1,464 images of train.txt alone.

    Words are the names as published code writes them, "pottedplant" and "tvmonitor" too; another
    model's class embeddings would be of other words. ``synonyms`` sets words of your own.
    """

    METAINFO: dict = dict(
        classes=_VOC["classes"][1:],
        palette=_VOC["palette"][1:],
        unseen=("pottedplant", "sheep", "sofa", "train", "tvmonitor"),
        dataset_name="PASCAL VOC 2012 (20 classes)",
        ignore_rule=_BACKGROUND_IGNORED,
    )
    DEFAULTS = dict(reduce_zero_label=True, held_out_file="ImageSets/Segmentation/val.txt")
    PREPARE = _PREPARE.format("voc")

    @classmethod
    def mask_folders_of(cls, folder: str) -> list[str]:
        """VOC's own masks, then SBD's, whichever of the two folders ``data_prefix`` names."""
        parent, name = os.path.split(os.path.normpath(folder))
        both = ("SegmentationClass", "SegmentationClassAug")
        return [os.path.join(parent, each) for each in both] if name in both else [folder]


@DATASETS.register_module()
class VOC21Dataset(VOC20Dataset):
    """VOC 2012's 20 classes and the background, a seen class; void is ignored.

    Not the protocol of the papers' tables: there the background is ignored
    (:class:`VOC20Dataset`), and pAcc and mIoU(S) are other numbers.
    """

    METAINFO = VOC20Dataset.METAINFO | dict(
        classes=_VOC["classes"],
        palette=_VOC["palette"],
        dataset_name="PASCAL VOC 2012 (21 classes, with background)",
        ignore_rule=_BACKGROUND_IS_A_CLASS,
    )
    DEFAULTS = VOC20Dataset.DEFAULTS | dict(reduce_zero_label=False)


@DATASETS.register_module()
class Context59Dataset(ZeroShotDataset):
    """PASCAL Context's 59 classes (49 seen, 10 unseen) on 4,996 + 5,104 images of VOC 2010.

    mmseg's layout: masks in SegmentationClassContext, 0 for everything that is none of the 59
    classes, which is ignored. Training leaves out the images of val.txt.
    """

    METAINFO: dict = dict(
        classes=_CONTEXT["classes"],
        palette=_CONTEXT["palette"],
        unseen=(
            "aeroplane", "bird", "boat", "cat", "cow", "fence", "keyboard", "motorbike", "sofa",
            "tvmonitor",
        ),
        dataset_name="PASCAL Context (59 classes)",
        ignore_rule=_BACKGROUND_IGNORED,
    )  # fmt: skip
    DEFAULTS = dict(reduce_zero_label=True, held_out_file="ImageSets/SegmentationContext/val.txt")
    PREPARE = _PREPARE.format("context")


@DATASETS.register_module()
class Context60Dataset(Context59Dataset):
    """PASCAL Context's 59 classes and the background, a seen class.

    The protocol of ZegCLIP's, CLIP-RC's and RPN's tables; in OTSeg's and Cascade-CLIP's
    the background is ignored (:class:`Context59Dataset`).
    """

    METAINFO = Context59Dataset.METAINFO | dict(
        classes=("background", *_CONTEXT["classes"]),
        palette=[[0, 0, 0], *_CONTEXT["palette"]],
        dataset_name="PASCAL Context (60 classes, with background)",
        ignore_rule=_BACKGROUND_IS_A_CLASS,
    )
    DEFAULTS = Context59Dataset.DEFAULTS | dict(reduce_zero_label=False)


@DATASETS.register_module()
class COCOStuff171Dataset(ZeroShotDataset):
    """COCO-Stuff 164K: 80 things and 91 kinds of stuff (156 seen, 15 unseen), 118,287 + 5,000.

    mmseg's layout: masks ``*_labelTrainIds.png`` with ids 0..170; unlabelled pixels are 255. The
    official masks have other ids (0..181 with gaps) and are refused as labels outside the
    classes. The words of the class embeddings are the class names as they are (published code).
    """

    METAINFO = dict(
        classes=COCOStuffDataset.METAINFO["classes"],
        palette=COCOStuffDataset.METAINFO["palette"],
        unseen=(
            "cow", "giraffe", "suitcase", "frisbee", "skateboard", "carrot", "scissors",
            "cardboard", "clouds", "grass", "playingfield", "river", "road", "tree",
            "wall-concrete",
        ),
        dataset_name="COCO-Stuff 164K (171 classes)",
        ignore_rule="unlabelled (label 255) ignored; there is no background class",
    )  # fmt: skip
    DEFAULTS = dict(seg_map_suffix="_labelTrainIds.png")
    PREPARE = _PREPARE.format("coco_stuff")


@DATASETS.register_module()
class ADE150Dataset(ZeroShotDataset):
    """ADE20K's 150 classes (ADEChallengeData2016), 20,210 + 2,000 images; a cross-dataset target.

    Masks hold 1..150; 0, everything else, is ignored. There is no agreed split: ``unseen`` is
    empty, and training needs a config that names unseen classes or ``setting="supervised"``.
    """

    METAINFO = dict(
        # (One of mmseg's names ends with a blank.)
        classes=tuple(name.strip() for name in ADE20KDataset.METAINFO["classes"]),
        palette=ADE20KDataset.METAINFO["palette"],
        dataset_name="ADE20K (150 classes)",
        ignore_rule="everything else (label 0) and void (label 255) ignored",
    )
    DEFAULTS = dict(reduce_zero_label=True)
    PREPARE = _PREPARE.format("ade")
