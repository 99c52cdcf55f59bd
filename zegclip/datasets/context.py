"""PASCAL Context, without background (59 classes) and with it (60)."""

from __future__ import annotations

from typing import Any

from mmseg.datasets import PascalContextDataset59
from mmseg.registry import DATASETS

from .base import ZeroShotDataset


@DATASETS.register_module()
class Context59Dataset(ZeroShotDataset):
    """PASCAL Context's 59 classes on 4,996 + 5,104 images of VOC 2010; the rest is ignored.

    mmseg's layout: masks in SegmentationClassContext, 0 for everything that is none of the 59
    classes. Training leaves out the images of val.txt.

    Split (49 seen, 10 unseen): ZegCLIP, Sec. 4.1.
    """

    METAINFO: dict = dict(
        classes=PascalContextDataset59.METAINFO["classes"],
        palette=PascalContextDataset59.METAINFO["palette"],
        unseen=(
            "aeroplane", "bird", "boat", "cat", "cow", "fence", "keyboard", "motorbike", "sofa",
            "tvmonitor",
        ),
        synonyms={"pottedplant": ("potted plant",), "tvmonitor": ("tv monitor",)},
        dataset_name="PASCAL Context (59 classes)",
        ignore_rule="background (label 0) and void (label 255) ignored",
    )  # fmt: skip
    LAYOUT = (
        "JPEGImages/*.jpg, SegmentationClassContext/*.png and "
        "ImageSets/SegmentationContext/{train,val}.txt"
    )

    def __init__(
        self,
        reduce_zero_label: bool = True,
        held_out_file: str | None = "ImageSets/SegmentationContext/val.txt",
        **kwargs: Any,
    ) -> None:
        super().__init__(reduce_zero_label=reduce_zero_label, held_out_file=held_out_file, **kwargs)


@DATASETS.register_module()
class Context60Dataset(Context59Dataset):
    """PASCAL Context's 59 classes and the background, a seen class.

    Not the protocol of the papers' inductive tables: there the background is ignored
    (:class:`Context59Dataset`), and pAcc and mIoU(S) are other numbers.
    """

    METAINFO = Context59Dataset.METAINFO | dict(
        classes=("background", *Context59Dataset.METAINFO["classes"]),
        palette=[[0, 0, 0], *Context59Dataset.METAINFO["palette"]],
        dataset_name="PASCAL Context (60 classes, with background)",
        ignore_rule="background (label 0) is a class; void (label 255) ignored",
    )

    def __init__(self, reduce_zero_label: bool = False, **kwargs: Any) -> None:
        super().__init__(reduce_zero_label=reduce_zero_label, **kwargs)
