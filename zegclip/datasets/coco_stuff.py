"""COCO-Stuff 164K with 171 classes."""

from __future__ import annotations

from typing import Any

from mmseg.datasets import COCOStuffDataset
from mmseg.registry import DATASETS

from .base import ZeroShotDataset


@DATASETS.register_module()
class COCOStuff171Dataset(ZeroShotDataset):
    """COCO-Stuff 164K: 80 things and 91 kinds of stuff on COCO's 118,287 + 5,000 images.

    mmseg's layout: masks ``*_labelTrainIds.png`` with ids 0..170; unlabelled pixels are 255.
    The official masks have other ids (0..181 with gaps) and are refused as labels outside the
    classes; ``tools/prepare_dataset.py coco_stuff`` converts them. The words of the class
    embeddings are the class names as they are (published code).

    Split (156 seen, 15 unseen): ZegCLIP, Sec. 4.1.
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
    LAYOUT = "images/{train2017,val2017}/*.jpg and annotations/{train2017,val2017}/*.png"

    def __init__(self, seg_map_suffix: str = "_labelTrainIds.png", **kwargs: Any) -> None:
        super().__init__(seg_map_suffix=seg_map_suffix, **kwargs)
