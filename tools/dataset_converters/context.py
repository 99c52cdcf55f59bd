"""PASCAL Context: from PASCAL in Detail's JSON, or from the original MATLAB masks."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from mmseg.datasets import PascalContextDataset59

from zegclip.errors import InputError

from . import rle
from .archives import ArchiveReader
from .description import Archive, DataDescription, Split
from .files import save_mask, sizes_in
from .work import Step, Work

VOC2010 = Archive(
    "VOCtrainval_03-May-2010.tar",
    "http://host.robots.ox.ac.uk/pascal/VOC/voc2010/VOCtrainval_03-May-2010.tar",
    1.4,
    "da459979d0c395079b5c75ee67908abb",
)
DETAIL = Archive(
    "trainval_merged.json",
    "https://codalabuser.blob.core.windows.net/public/trainval_merged.json",
    0.6,
    "3c2d0c0656b7be9eb61928ffe885d8ce",
)
MATLAB = Archive(
    "trainval.tar.gz",
    "https://cs.stanford.edu/~roozbeh/pascal-context/trainval.tar.gz",
    0.03,
    note="only where the JSON cannot be had: three images more than in published numbers",
)
CLASSES = tuple(PascalContextDataset59.METAINFO["classes"])
# The numbers that the 59 classes have among PASCAL Context's 459 categories. Both are in the order
# of the alphabet, so that the first number is the first class's, and so on.
CATEGORY_IDS = (
    2, 9, 18, 19, 22, 23, 25, 31, 33, 34, 44, 45, 46, 59, 65, 68, 72, 80, 85, 98, 104, 105, 113,
    115, 144, 158, 159, 162, 187, 189, 207, 220, 232, 258, 259, 260, 284, 295, 296, 308, 324, 326,
    347, 349, 354, 355, 360, 366, 368, 397, 415, 416, 420, 424, 427, 440, 445, 454, 458,
)  # fmt: skip
_LISTS = "ImageSets/SegmentationContext"
_MORE = (
    "VOC 2010's own {part} list with the original masks ({theirs:,} images); published numbers use "
    "the {ours:,} of PASCAL in Detail's. Scores on these lists differ from published ones in the "
    "decimals: use trainval_merged.json to compare"
)
DESCRIPTION = DataDescription(
    key="context",
    title="PASCAL Context",
    root="VOCdevkit/VOC2010",
    class_words=("Context",),
    folder_words=("voc2010", "context"),
    archives=((VOC2010,), (DETAIL, MATLAB)),
    splits=tuple(
        Split(
            part,
            ours,
            "JPEGImages",
            ("SegmentationClassContext",),
            {f"{_LISTS}/{part}.txt": ours},
            other_counts={theirs: _MORE.format(part=part, ours=ours, theirs=theirs)},
        )
        for part, ours, theirs in (("train", 4_996, 4_998), ("val", 5_104, 5_105))
    ),
    names=dict(enumerate(("background or another category", *CLASSES))),
    ignored=frozenset({0}),
    has_void=False,
    layout=f"JPEGImages/*.jpg, SegmentationClassContext/*.png, {_LISTS}/{{train,val}}.txt",
    label_rule="0 background and the other 400 categories, 1..59 the classes",
)
_IMAGE = re.compile(r"(?:.*/)?VOCdevkit/VOC2010/(JPEGImages/\w+\.jpg)")
_MAT = re.compile(r"(?:.*/)?(\d{4}_\d{6})\.mat")
_IMAGE_KEYS = {"image_id", "file_name", "phase", "height", "width"}
_WANTED = _IMAGE_KEYS | {
    "images", "annos_segmentation", "categories", "counts", "size", "category_id", "name",
}  # fmt: skip
_MASKS, _MASK_BYTES = 10_103, 10_000


def category_table() -> np.ndarray:
    """The label 0..59 of each category number: ``(65536,)`` uint8."""
    table = np.zeros(1 << 16, np.uint8)
    table[list(CATEGORY_IDS)] = np.arange(1, len(CATEGORY_IDS) + 1)
    return table


def steps(work: Work) -> list[Step]:
    """What makes the layout of :data:`DESCRIPTION`."""

    def select(name: str) -> str | None:
        match = _IMAGE.fullmatch(name)
        return match[1] if match else None

    kind, path = work.archives[DETAIL.name]
    convert = _convert_json if kind.name == DETAIL.name else _convert_matlab
    return [
        work.extraction(work.archive(VOC2010.name), select, "VOC 2010"),
        Step("masks", _MASKS * _MASK_BYTES, lambda: convert(work, path)),
    ]


# --- PASCAL in Detail's JSON -------------------------------------------------------------------


def read_detail(path: Path) -> dict[str, Any]:
    """What is needed of the JSON: ``images``, ``annos_segmentation`` and ``categories``.

    The file holds parts, boundaries, occlusion and joints as well, which are several times as much
    in memory: they are dropped while it is parsed.

    Raises:
        InputError: it is no such JSON.
    """

    def keep(item: dict[str, Any]) -> Any:
        if "annos_segmentation" in item or "counts" in item:
            return {k: item[k] for k in item if k in _WANTED}
        if "part_id" in item:
            return None
        if "segmentation" in item:
            run_lengths = item["segmentation"]
            return item.get("image_id"), item.get("category_id"), run_lengths
        if "file_name" in item or "name" in item:
            return {k: v for k, v in item.items() if k in _WANTED}
        return None

    try:
        found = json.loads(path.read_bytes(), object_hook=keep)
    except ValueError as error:
        raise InputError(
            f"{path} is cut short or corrupt ({error}). Delete it and download it again: about "
            f"{DETAIL.gigabytes:g} GB, md5 {DETAIL.md5}."
        ) from error
    if not isinstance(found, dict) or not {"images", "annos_segmentation"} <= set(found):
        raise InputError(
            f"{path} has no 'images' and 'annos_segmentation': it is not PASCAL in Detail's "
            "trainval_merged.json. Delete it and download it again."
        )
    return found


def _convert_json(work: Work, path: Path) -> None:
    target = work.root / "SegmentationClassContext"
    there = sizes_in(target)
    work.console.print(f"reading {path}")
    detail = read_detail(path)
    _compare_names(work, path, {
        item["category_id"]: item["name"]
        for item in detail.get("categories", [])
        if isinstance(item, dict) and {"category_id", "name"} <= set(item)
    })  # fmt: skip
    lists: dict[str, list[str]] = {"train": [], "val": []}
    pending: dict[Any, tuple[str, int, int, list[Any], Path]] = {}
    for image in detail.pop("images"):
        if not isinstance(image, dict) or not _IMAGE_KEYS <= set(image):
            raise InputError(f"{path}: an image lacks one of {', '.join(sorted(_IMAGE_KEYS))}")
        if image["phase"] not in lists:
            continue
        name = re.fullmatch(r"(\w+)\.jpg", str(image["file_name"]))
        if not name:
            raise InputError(f"{path}: {image['file_name']!r} is not an image's name")
        lists[image["phase"]].append(name[1])
        mask = target / f"{name[1]}.png"
        if work.must_convert(mask, there):
            pending[image["image_id"]] = (name[1], image["height"], image["width"], [], mask)
    for image_id, category, run_lengths in filter(None, detail.pop("annos_segmentation")):
        if image_id in pending:
            pending[image_id][3].append((category, run_lengths))
    work.convert("masks", convert_annotations, iter(pending.values()), len(pending))
    for part, names in lists.items():
        work.write_list(work.root / _LISTS / f"{part}.txt", sorted(names))


def convert_annotations(
    item: tuple[str, int, int, list[tuple[int, Any]], Path],
) -> tuple[str, str] | None:
    """Paint an image's annotations one over the other, in the file's order, and write the mask.

    Args:
        item: the image's name, height, width, ``(category, run lengths)`` of each annotation,
            where the PNG belongs.

    Returns:
        Name and reason if an annotation cannot be read.
    """
    name, height, width, annotations, target = item
    categories = np.zeros((height, width), np.uint16)
    try:
        for category, run_lengths in annotations:
            if list(run_lengths["size"]) != [height, width]:
                raise ValueError(f"size {run_lengths['size']}, the image is {height}x{width}")
            categories[rle.decode(run_lengths["counts"], height, width)] = category
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        return name, f"an annotation cannot be read: {error}"
    save_mask(category_table()[categories], target)
    return None


# --- the original MATLAB masks -----------------------------------------------------------------


def _convert_matlab(work: Work, path: Path) -> None:
    lists = _main_lists(work.archive(VOC2010.name))
    wanted = {name for names in lists.values() for name in names}
    target = work.root / "SegmentationClassContext"
    there = sizes_in(target)
    masks: set[str] = set()

    def pending() -> Iterator[tuple[str, bytes, Path]]:
        with ArchiveReader(path) as reader:
            for member, info in reader.members():
                match = _MAT.fullmatch(member.name)
                if member.plain and member.name.rpartition("/")[2] == "labels.txt":
                    _compare_names(work, path, _labels(reader.read(info)))
                if not match or not member.plain or match[1] not in wanted:
                    continue
                masks.add(match[1])
                mask = target / f"{match[1]}.png"
                if work.must_convert(mask, there):
                    yield member.name, reader.read(info), mask

    work.convert("masks", convert_mat, pending(), None)
    for part, names in lists.items():
        work.write_list(work.root / _LISTS / f"{part}.txt", sorted(masks.intersection(names)))


def _main_lists(archive: Path) -> dict[str, list[str]]:
    """VOC 2010's train and val lists of all images."""
    lists = {}
    pattern = re.compile(r"(?:.*/)?VOC2010/ImageSets/Main/(train|val)\.txt")
    with ArchiveReader(archive) as reader:
        for member, info in reader.members():
            match = pattern.fullmatch(member.name)
            if match and member.plain:
                lists[match[1]] = reader.read(info).decode("utf-8", "replace").split()
    if set(lists) != {"train", "val"}:
        raise InputError(
            f"{archive} has no ImageSets/Main/train.txt and val.txt: it is not VOC 2010's "
            "trainval archive. Delete it and download it again."
        )
    return lists


def _labels(content: bytes) -> dict[int, str]:
    """The names in labels.txt, whose lines are ``number: name``."""
    found = re.findall(r"^\s*(\d+)\s*:\s*(.*\S)\s*$", content.decode("utf-8", "replace"), re.M)
    return {int(number): name for number, name in found}


def convert_mat(item: tuple[str, bytes, Path]) -> tuple[str, str] | None:
    """Write one MATLAB ``LabelMap`` as an index PNG; see :func:`dataset_converters.voc`."""
    from scipy.io import loadmat

    name, content, target = item
    try:
        categories = np.asarray(
            loadmat(io.BytesIO(content), variable_names=["LabelMap"])["LabelMap"]
        )
        if categories.ndim != 2 or categories.dtype.kind not in "ui":
            raise ValueError(f"LabelMap is {categories.dtype} of shape {categories.shape}")
        labels = category_table()[categories]
    except Exception as error:  # a stranger's file: whatever is wrong with it is its reader's word
        return name, f"{type(error).__name__}: {error}"
    save_mask(labels, target)
    return None


def _compare_names(work: Work, path: Path, found: dict[int, str]) -> None:
    """Note where the archive calls a category otherwise than we do: another numbering?"""

    def plain(name: str) -> str:
        return re.sub(r"[^a-z]", "", name.lower())

    others = [
        f"{number} is {found[number]!r}, not {name!r}"
        for number, name in zip(CATEGORY_IDS, CLASSES, strict=True)
        if number in found and plain(found[number]) != plain(name)
    ]
    if others:
        work.notes.append(f"{path} names categories otherwise than expected: {'; '.join(others)}")
