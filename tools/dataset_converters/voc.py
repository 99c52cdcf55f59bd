"""PASCAL VOC 2012 with SBD's additional masks."""

from __future__ import annotations

import io

import numpy as np
from mmseg.datasets import PascalVOCDataset

from .archives import read_lists
from .data_set import VOID, Archive, DataSet, Split
from .work import Work

VOC2012 = Archive(
    "VOCtrainval_11-May-2012.tar",
    "http://host.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar",
    2.0,
    "6cd6e144f989b92b3379bac3b3de84fd",
)
SBD = Archive(
    "benchmark.tgz",
    "https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/semantic_contours/"
    "benchmark.tgz",
    1.4,
    "82b4d87ceb2ed10f6038a1cba92111cb",
)
LISTS = "ImageSets/Segmentation"


def read_sbd(content: bytes) -> np.ndarray:
    """``(H, W)`` uint8 labels of one of SBD's MATLAB files."""
    from scipy.io import loadmat

    struct = loadmat(io.BytesIO(content), squeeze_me=True, variable_names=["GTcls"])["GTcls"]
    mask = np.asarray(struct["Segmentation"].item())
    if mask.ndim != 2 or mask.dtype.kind not in "ui":
        raise ValueError(f"GTcls.Segmentation is {mask.dtype} of shape {mask.shape}")
    if ((mask > 20) & (mask != VOID)).any():
        raise ValueError(f"labels up to {mask.max()}, where 0..20 are due")
    return mask.astype(np.uint8)


def prepare(work: Work) -> None:
    """Unpack VOC 2012, then make SegmentationClassAug and aug.txt.

    VOC's own masks win where both exist: SBD's have no void border.
    """
    work.unpack(
        work.archives[VOC2012.name],
        r"(?:.*/)?VOCdevkit/VOC2012/"
        rf"(JPEGImages/\w+\.jpg|SegmentationClass/\w+\.png|{LISTS}/\w+\.txt)",
    )
    own = {
        name
        for part in ("train", "val")
        for name in (work.root / LISTS / f"{part}.txt").read_text(encoding="utf-8-sig").split()
    }
    sbd = work.archives[SBD.name]
    names = read_lists(sbd, r"(?:.*/)?dataset/(?:train|val)\.txt")
    work.unpack(
        sbd, r"(?:.*/)?dataset/cls/(\w+)\.mat", r"SegmentationClassAug/\1.png", read_sbd, skip=own
    )
    for name in sorted(own):
        mask = work.root / "SegmentationClass" / f"{name}.png"
        if mask.is_file():
            work.copy(work.root / "SegmentationClassAug" / mask.name, mask.read_bytes())
        else:
            work.failures.append((str(mask), "named by VOC's lists, but not there"))
    work.write_list(work.root / LISTS / "aug.txt", set().union(*names.values()) - own)


DATA_SET = DataSet(
    key="voc",
    title="PASCAL VOC 2012 with SBD's additional masks",
    root="VOCdevkit/VOC2012",
    archives=(VOC2012, SBD),
    prepare=prepare,
    splits=(
        Split(
            "train", 10_582, "JPEGImages", ("SegmentationClass", "SegmentationClassAug"),
            {f"{LISTS}/train.txt": 1_464, f"{LISTS}/aug.txt": 9_118},
        ),
        # Each of VOC's own masks has a void border around its objects.
        Split(
            "val", 1_449, "JPEGImages", ("SegmentationClass",),
            {f"{LISTS}/val.txt": 1_449}, void_within=1,
        ),
    ),
    names=dict(enumerate(PascalVOCDataset.METAINFO["classes"])) | {VOID: "void"},
    ignored=frozenset({0, VOID}),
    label_rule="0 background, 1..20 the classes, 255 void",
    folders={"JPEGImages": 17_125, "SegmentationClass": 2_913, "SegmentationClassAug": 12_031},
)  # fmt: skip
