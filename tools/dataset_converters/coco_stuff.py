"""COCO-Stuff 164K: official masks to train ids."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from mmseg.datasets import COCOStuffDataset
from PIL import Image

from .archives import ArchiveReader, Info
from .description import VOID, Archive, DataDescription, Split
from .files import save_mask, sizes_in
from .work import Step, Work

TRAIN = Archive("train2017.zip", "http://images.cocodataset.org/zips/train2017.zip", 19.3)
VAL = Archive("val2017.zip", "http://images.cocodataset.org/zips/val2017.zip", 0.8)
MASKS = Archive(
    "stuffthingmaps_trainval2017.zip",
    "http://calvin.inf.ed.ac.uk/wp-content/uploads/data/cocostuffdataset/"
    "stuffthingmaps_trainval2017.zip",
    0.7,
)
# COCO numbers its things 1..90 and uses 80 of these numbers: eleven of the official masks' ids
# 0..181 (one less than the category's number) are of classes that nothing is labelled with.
UNUSED_IDS = frozenset({11, 25, 28, 29, 44, 65, 67, 68, 70, 82, 90})
LAST_ID = 181
DESCRIPTION = DataDescription(
    key="coco_stuff",
    title="COCO-Stuff 164K",
    root="coco_stuff164k",
    class_words=("COCO",),
    folder_words=("coco",),
    archives=((TRAIN,), (VAL,), (MASKS,)),
    splits=(
        Split(
            "train", 118_287, "images/train2017", ("annotations/train2017",), void_within=20
        ),
        Split("val", 5_000, "images/val2017", ("annotations/val2017",), void_within=20),
    ),
    names=dict(enumerate(COCOStuffDataset.METAINFO["classes"])),
    ignored=frozenset(),
    has_void=True,
    layout="images/{train2017,val2017}/*.jpg, annotations/{train2017,val2017}/*_labelTrainIds.png",
    label_rule=(
        "0..170 the classes (official ids 0..181 without the eleven unused ones, in their order), "
        "255 unlabelled"
    ),
    mask_suffix="_labelTrainIds.png",
    raw_mask_suffix=".png",
)  # fmt: skip
# Values that no official mask can hold.
_NO_ID = frozenset(range(LAST_ID + 1, VOID))
_MASK = re.compile(r"(?:.*/)?(train2017|val2017)/(\w+)\.png")
_MASK_BYTES = 20_000  # a converted one, generously


def train_id_table() -> list[int]:
    """The train id of each of 256 official values; what is no class is void."""
    used = [value for value in range(LAST_ID + 1) if value not in UNUSED_IDS]
    table = [VOID] * 256
    for train_id, value in enumerate(used):
        table[value] = train_id
    return table


def steps(work: Work) -> list[Step]:
    """What makes the layout of :data:`DESCRIPTION`."""
    images = [
        work.extraction(work.archive(archive.name), select_images(part), f"images of {part}")
        for archive, part in ((TRAIN, "train2017"), (VAL, "val2017"))
    ]
    return [*images, _conversion(work)]


def select_images(part: str) -> Callable[[str], str | None]:
    """Which members of an image archive go where."""
    pattern = re.compile(rf"(?:.*/)?({part}/\w+\.jpg)")

    def select(name: str) -> str | None:
        match = pattern.fullmatch(name)
        return f"images/{match[1]}" if match else None

    return select


def _conversion(work: Work) -> Step:
    archive = work.archive(MASKS.name)
    folder = work.root / "annotations"
    there = {part: sizes_in(folder / part) for part in ("train2017", "val2017")}
    pending = []
    with ArchiveReader(archive) as reader:
        for member, _ in reader.members():
            match = _MASK.fullmatch(member.name)
            if match and member.plain:
                target = folder / match[1] / f"{match[2]}{DESCRIPTION.mask_suffix}"
                if work.must_convert(target, there[match[1]]):
                    pending.append((archive, member.name, target))

    def run() -> None:
        work.convert("masks", convert_member, pending, len(pending))

    return Step("masks", len(pending) * _MASK_BYTES, run)


@lru_cache(maxsize=1)
def _open(archive: Path, process: int, changed: int) -> tuple[ArchiveReader, dict[str, Info]]:
    """An archive and its members by name, opened once a process.

    A forked process must not share its parent's file: they would move each other's place in it.
    """
    reader = ArchiveReader(archive)
    return reader, {member.name: info for member, info in reader.members()}


def convert_member(item: tuple[Path, str, Path]) -> tuple[str, str] | None:
    """Write one official mask with train ids.

    Args:
        item: the archive, the member's name, where the PNG belongs.

    Returns:
        Name and reason if it cannot be read.

    Raises:
        InputError: the archive itself is corrupt there.
    """
    archive, name, target = item
    reader, infos = _open(archive, os.getpid(), archive.stat().st_mtime_ns)
    content = reader.read(infos[name])
    try:
        with Image.open(io.BytesIO(content)) as image:
            if image.mode not in ("L", "P"):
                raise ValueError(f"mode {image.mode}, where 8-bit ids of one channel are due")
            image.load()
            # The indices of a palette image are the ids.
            ids = Image.frombytes("L", image.size, image.tobytes())
            unknown = [value for value, n in enumerate(ids.histogram()) if n and value in _NO_ID]
            if unknown:
                raise ValueError(f"labels {unknown[:5]}, which are no official ids")
    except Exception as error:  # a stranger's file: whatever is wrong with it is its reader's word
        return name, f"{type(error).__name__}: {error}"
    save_mask(ids.point(train_id_table()), target)
    return None
