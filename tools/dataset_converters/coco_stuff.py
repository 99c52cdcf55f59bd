"""COCO-Stuff 164K: official masks to train ids."""

from __future__ import annotations

import io

import numpy as np
from mmseg.datasets import COCOStuffDataset
from PIL import Image

from .data_set import VOID, Archive, DataSet, Split
from .work import Work

TRAIN = Archive("train2017.zip", "http://images.cocodataset.org/zips/train2017.zip", 19.3)
VAL = Archive("val2017.zip", "http://images.cocodataset.org/zips/val2017.zip", 0.8)
MASKS = Archive(
    "stuffthingmaps_trainval2017.zip",
    "http://calvin.inf.ed.ac.uk/wp-content/uploads/data/cocostuffdataset/"
    "stuffthingmaps_trainval2017.zip",
    0.7,
)
# The official masks hold the category's number minus one, 0..181. COCO numbers its things 1..90 and
# uses 80 of these numbers, stuff has 91..182 with one hole: eleven ids are of no class.
UNUSED_IDS = (11, 25, 28, 29, 44, 65, 67, 68, 70, 82, 90)
OFFICIAL_IDS = [value for value in range(182) if value not in UNUSED_IDS]
# The train id of each value: (256,) uint8.
TRAIN_IDS = np.full(256, VOID, np.uint8)
TRAIN_IDS[OFFICIAL_IDS] = np.arange(len(OFFICIAL_IDS))


def to_train_ids(content: bytes) -> np.ndarray:
    """``(H, W)`` uint8 train ids of an official PNG; a palette image's indices are the ids."""
    with Image.open(io.BytesIO(content)) as image:
        if image.mode not in ("L", "P"):
            raise ValueError(f"mode {image.mode}, where 8-bit ids of one channel are due")
        ids = np.asarray(image)
    unknown = np.unique(ids[(ids > OFFICIAL_IDS[-1]) & (ids != VOID)])
    if unknown.size:
        raise ValueError(f"labels {unknown[:5].tolist()}, which are no official ids")
    return TRAIN_IDS[ids]


def prepare(work: Work) -> None:
    """Unpack the images, convert the masks."""
    for archive in (TRAIN, VAL):
        work.unpack(work.archives[archive.name], r"(?:.*/)?(\w+2017/\w+\.jpg)", r"images/\1")
    work.unpack(
        work.archives[MASKS.name],
        r"(?:.*/)?((?:train|val)2017/\w+)\.png",
        rf"annotations/\1{DATA_SET.mask_suffix}",
        to_train_ids,
    )


DATA_SET = DataSet(
    key="coco_stuff",
    title="COCO-Stuff 164K",
    root="coco_stuff164k",
    archives=(TRAIN, VAL, MASKS),
    prepare=prepare,
    splits=(
        Split("train", 118_287, "images/train2017", ("annotations/train2017",), void_within=20),
        Split("val", 5_000, "images/val2017", ("annotations/val2017",), void_within=20),
    ),
    names=dict(enumerate(COCOStuffDataset.METAINFO["classes"])) | {VOID: "unlabelled"},
    ignored=frozenset({VOID}),
    label_rule=(
        "0..170 the classes (official ids 0..181 without the eleven unused ones, in their order), "
        "255 unlabelled"
    ),
    mask_suffix="_labelTrainIds.png",
)
