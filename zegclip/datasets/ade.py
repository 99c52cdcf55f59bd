"""ADE20K with 150 classes."""

from __future__ import annotations

from typing import Any

from mmseg.datasets import ADE20KDataset
from mmseg.registry import DATASETS

from .base import ZeroShotDataset


@DATASETS.register_module()
class ADE150Dataset(ZeroShotDataset):
    """ADE20K's 150 classes (ADEChallengeData2016), 20,210 + 2,000 images; a cross-dataset target.

    Masks hold 1..150; 0, everything else, is ignored. There is no agreed split: ``unseen`` is
    empty, so the setting is ``cross_dataset`` or ``supervised`` unless a config names unseen
    classes.
    """

    METAINFO = dict(
        # (One of mmseg's names ends with a blank.)
        classes=tuple(name.strip() for name in ADE20KDataset.METAINFO["classes"]),
        palette=ADE20KDataset.METAINFO["palette"],
        dataset_name="ADE20K (150 classes)",
        ignore_rule="everything else (label 0) and void (label 255) ignored",
    )
    LAYOUT = "images/{training,validation}/*.jpg and annotations/{training,validation}/*.png"

    def __init__(self, reduce_zero_label: bool = True, **kwargs: Any) -> None:
        super().__init__(reduce_zero_label=reduce_zero_label, **kwargs)
