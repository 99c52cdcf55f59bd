"""PASCAL VOC 2012 with SBD's additional masks."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from mmseg.datasets import PascalVOCDataset

from zegclip.errors import InputError

from .archives import ArchiveReader
from .description import VOID, Archive, DataDescription, Split
from .files import copy_whole, save_mask, sizes_in
from .parallel import progress
from .work import Step, Work

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
_LISTS = "ImageSets/Segmentation"
DESCRIPTION = DataDescription(
    key="voc",
    title="PASCAL VOC 2012 with SBD's additional masks",
    root="VOCdevkit/VOC2012",
    class_words=("VOC",),
    folder_words=("voc2012", "voc"),
    archives=((VOC2012,), (SBD,)),
    splits=(
        Split(
            "train",
            10_582,
            "JPEGImages",
            ("SegmentationClassAug", "SegmentationClass"),
            {f"{_LISTS}/train.txt": 1_464, f"{_LISTS}/aug.txt": 9_118},
        ),
        # Each of VOC's own masks has a void border around its objects; SBD's have none.
        Split(
            "val",
            1_449,
            "JPEGImages",
            ("SegmentationClass",),
            {f"{_LISTS}/val.txt": 1_449},
            void_within=1,
        ),
    ),
    names=dict(enumerate(PascalVOCDataset.METAINFO["classes"])),
    ignored=frozenset({0}),
    has_void=True,
    layout=(
        "JPEGImages/*.jpg, SegmentationClass/*.png (VOC's), SegmentationClassAug/*.png (SBD's and "
        f"VOC's), {_LISTS}/{{train,val,trainval,aug}}.txt"
    ),
    label_rule="0 background, 1..20 the classes, 255 void",
    folders={"JPEGImages": 17_125, "SegmentationClass": 2_913, "SegmentationClassAug": 12_031},
)
_DEVKIT = re.compile(
    r"(?:.*/)?VOCdevkit/VOC2012/"
    r"(JPEGImages/\w+\.jpg|SegmentationClass/\w+\.png|ImageSets/Segmentation/\w+\.txt)"
)
_SBD_MASK = re.compile(r"(?:.*/)?dataset/cls/(\w+)\.mat")
_SBD_LIST = re.compile(r"(?:.*/)?dataset/(?:train|val)\.txt")
_SBD_MASKS = 11_355  # of which 2,912 or 2,913 are of images that VOC has masks of, too
_SBD_MASK_BYTES = 6_000  # a converted one, generously


def steps(work: Work) -> list[Step]:
    """What makes the layout of :data:`DESCRIPTION`."""

    def select(name: str) -> str | None:
        match = _DEVKIT.fullmatch(name)
        return match[1] if match else None

    return [
        work.extraction(work.archive(VOC2012.name), select, "VOC 2012"),
        Step("SBD's masks", _SBD_MASKS * _SBD_MASK_BYTES, lambda: _convert_sbd(work)),
    ]


def _convert_sbd(work: Work) -> None:
    """SegmentationClassAug and aug.txt.

    VOC's own masks win where both exist: SBD's have no void border.
    """
    lists = work.root / _LISTS
    named = {
        part: _names((lists / f"{part}.txt").read_text(encoding="utf-8"))
        for part in ("train", "val")
    }
    own = set(named["train"]) | set(named["val"])
    target = work.root / "SegmentationClassAug"
    there = sizes_in(target)
    sbd: list[str] = []

    def pending() -> Iterator[tuple[str, bytes, Path]]:
        with ArchiveReader(work.archive(SBD.name)) as reader:
            for member, info in reader.members():
                match = _SBD_MASK.fullmatch(member.name)
                if member.plain and _SBD_LIST.fullmatch(member.name):
                    sbd.extend(_names(reader.read(info).decode("utf-8", "replace")))
                elif match and member.plain and match[1] not in own:
                    mask = target / f"{match[1]}.png"
                    if work.must_convert(mask, there):
                        yield member.name, reader.read(info), mask

    work.convert("SBD's masks", convert_mat, pending(), None)
    if not sbd:
        raise InputError(
            f"{work.archive(SBD.name)} has no dataset/train.txt and val.txt: this is not SBD's "
            "benchmark.tgz. Delete it and download it again."
        )
    source = work.root / "SegmentationClass"
    for name in progress("VOC's masks", sorted(own), len(own), work.console):
        mask = target / f"{name}.png"
        if not (source / mask.name).is_file():
            work.failures.append((str(source / mask.name), "named by VOC's lists, but not there"))
        elif work.must_convert(mask, there):
            copy_whole(source / mask.name, mask)
    work.write_list(lists / "aug.txt", sorted(set(sbd) - own))


def _names(text: str) -> list[str]:
    """The names in a list, without anything that is none."""
    return [name for name in text.split() if re.fullmatch(r"\w+", name)]


def convert_mat(item: tuple[str, bytes, Path]) -> tuple[str, str] | None:
    """Write one of SBD's MATLAB masks as an index PNG.

    Args:
        item: the member's name, its content, where the PNG belongs.

    Returns:
        Name and reason if it cannot be read.
    """
    from scipy.io import loadmat

    name, content, target = item
    try:
        struct = loadmat(io.BytesIO(content), squeeze_me=True, variable_names=["GTcls"])["GTcls"]
        mask = np.asarray(struct["Segmentation"].item())
        if mask.ndim != 2 or mask.dtype.kind not in "ui":
            raise ValueError(f"GTcls.Segmentation is {mask.dtype} of shape {mask.shape}")
        if (mask > 20).any() and (mask[mask > 20] != VOID).any():
            raise ValueError(f"labels up to {mask.max()}, where 0..20 are due")
    except Exception as error:  # a stranger's file: whatever is wrong with it is its reader's word
        return name, f"{type(error).__name__}: {error}"
    save_mask(mask.astype(np.uint8), target)
    return None
