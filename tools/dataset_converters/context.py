"""PASCAL Context: from PASCAL in Detail's JSON, or from the original MATLAB masks."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from mmseg.datasets import PascalContextDataset59
from rich.progress import track

from zegclip.datasets.rle import decode
from zegclip.errors import InputError

from .archives import how_to_repair, read_lists
from .data_set import Archive, DataSet, Split
from .work import Work

VOC2010 = Archive(
    "VOCtrainval_03-May-2010.tar",
    "http://host.robots.ox.ac.uk/pascal/VOC/voc2010/VOCtrainval_03-May-2010.tar",
    1.4,
    "da459979d0c395079b5c75ee67908abb",
)
MATLAB = Archive(
    "trainval.tar.gz",
    "https://cs.stanford.edu/~roozbeh/pascal-context/trainval.tar.gz",
    0.03,
    note="only where the JSON cannot be had: three images more than in published numbers",
)
DETAIL = Archive(
    "trainval_merged.json",
    "https://codalabuser.blob.core.windows.net/public/trainval_merged.json",
    0.6,
    "3c2d0c0656b7be9eb61928ffe885d8ce",
    instead=MATLAB,
)
CLASSES = PascalContextDataset59.METAINFO["classes"]
# The numbers that the 59 classes have among PASCAL Context's 459 categories. Both are in the order
# of the alphabet, so that the first number is the first class's, and so on.
CATEGORY_IDS = (
    2, 9, 18, 19, 22, 23, 25, 31, 33, 34, 44, 45, 46, 59, 65, 68, 72, 80, 85, 98, 104, 105, 113,
    115, 144, 158, 159, 162, 187, 189, 207, 220, 232, 258, 259, 260, 284, 295, 296, 308, 324, 326,
    347, 349, 354, 355, 360, 366, 368, 397, 415, 416, 420, 424, 427, 440, 445, 454, 458,
)  # fmt: skip
# The label 0..59 of each category number: (65536,) uint8.
LABELS = np.zeros(1 << 16, np.uint8)
LABELS[list(CATEGORY_IDS)] = np.arange(1, len(CATEGORY_IDS) + 1)
LISTS, MASKS = "ImageSets/SegmentationContext", "SegmentationClassContext"


def prepare(work: Work) -> None:
    """Unpack VOC 2010's images, convert the masks and write the lists."""
    # The JSON is read first: what is wrong with it is said before anything is written.
    detail = read_detail(work.archives[DETAIL.name]) if DETAIL.name in work.archives else None
    voc = work.archives[VOC2010.name]
    work.unpack(voc, r"(?:.*/)?VOCdevkit/VOC2010/(JPEGImages/\w+\.jpg)")
    if detail is not None:
        lists = convert_detail(work, detail)
    else:
        lists = read_lists(voc, r"(?:.*/)?VOC2010/ImageSets/Main/(?:train|val)\.txt")
        work.unpack(
            work.archives[MATLAB.name],
            r"(?:.*/)?(\d{4}_\d{6})\.mat",
            rf"{MASKS}/\1.png",
            read_matlab,
        )
        made = {path.stem for path in (work.root / MASKS).glob("*.png")}
        lists = {part: sorted(made.intersection(names)) for part, names in lists.items()}
    for part, names in lists.items():
        work.write_list(work.root / LISTS / f"{part}.txt", names)


def read_matlab(content: bytes) -> np.ndarray:
    """``(H, W)`` uint8 labels of one of the original MATLAB masks."""
    from scipy.io import loadmat

    categories = loadmat(io.BytesIO(content), variable_names=["LabelMap"])["LabelMap"]
    if categories.ndim != 2 or categories.dtype.kind not in "ui":
        raise ValueError(f"LabelMap is {categories.dtype} of shape {categories.shape}")
    return LABELS[categories]


def read_detail(path: Path) -> dict[str, Any]:
    """PASCAL in Detail's JSON; parts, boundaries and joints, most of it, are dropped in parsing.

    Raises:
        InputError: it is no such JSON.
    """

    def keep(item: dict[str, Any]) -> dict[str, Any] | None:
        dropped = {"part_id", "boundary_mask", "joints"}
        return None if dropped & set(item) else item

    print(f"reading {path}")
    try:
        detail = json.loads(path.read_bytes(), object_hook=keep)
        return {key: detail[key] for key in ("images", "annos_segmentation")}
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} is cut short, corrupt or not PASCAL in Detail's ({error}). "
            f"{how_to_repair(path)}."
        ) from error


def convert_detail(work: Work, detail: dict[str, Any]) -> dict[str, list[str]]:
    """Write the masks of :func:`read_detail` and return the image names of train and val."""
    lists: dict[str, list[str]] = {"train": [], "val": []}
    annotations: dict[int, list[dict[str, Any]]] = {}
    for annotation in detail["annos_segmentation"]:
        annotations.setdefault(annotation["image_id"], []).append(annotation)
    for image in track(detail["images"], "masks"):
        if image["phase"] not in lists:
            continue
        name = Path(image["file_name"]).stem  # (without folders, whatever the file says)
        lists[image["phase"]].append(name)
        mask = work.root / MASKS / f"{name}.png"
        if work.is_due(mask):
            painted = (image["height"], image["width"]), annotations.get(image["image_id"], [])
            work.convert(name, paint, painted, mask)
    return lists


def paint(item: tuple[tuple[int, int], list[dict[str, Any]]]) -> np.ndarray:
    """``(H, W)`` uint8 labels of an image: its annotations one over the other, in their order.

    ``item``: height and width, and annotations with a ``category_id`` and a run-length code.
    """
    size, annotations = item
    categories = np.zeros(size, np.uint16)
    for annotation in annotations:
        code = annotation["segmentation"]
        if tuple(code["size"]) != size:
            raise ValueError(f"an annotation's size is {code['size']}, the image's {size}")
        categories[decode(code["counts"], *size)] = annotation["category_id"]
    return LABELS[categories]


_OWN_LISTS = (
    "VOC 2010's own list, with the original masks. Scores on it differ from published ones in the "
    "decimals, which use PASCAL in Detail's: use trainval_merged.json to compare"
)
DATA_SET = DataSet(
    key="context",
    title="PASCAL Context",
    root="VOCdevkit/VOC2010",
    archives=(VOC2010, DETAIL),
    prepare=prepare,
    splits=tuple(
        Split(
            part, count, "JPEGImages", (MASKS,), {f"{LISTS}/{part}.txt": count},
            other_counts={original: _OWN_LISTS},
        )
        for part, count, original in (("train", 4_996, 4_998), ("val", 5_104, 5_105))
    ),
    names=dict(enumerate(("background or another category", *CLASSES))),
    ignored=frozenset({0}),
    label_rule="0 background and the other 400 categories, 1..59 the classes",
)  # fmt: skip
