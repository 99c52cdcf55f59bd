"""Small archives in the formats in which the data sets are published."""

from __future__ import annotations

import dataclasses
import io
import json
import tarfile
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from dataset_converters import DATA_SETS
from dataset_converters.archives import find_archives
from dataset_converters.data_set import DataSet
from dataset_converters.work import Work
from PIL import Image
from scipy.io import savemat

HEIGHT, WIDTH = 12, 16
VOC = "VOCdevkit/VOC2012"


def jpg() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (WIDTH, HEIGHT), (90, 120, 30)).save(file, "JPEG")
    return file.getvalue()


def png(mask: np.ndarray | Image.Image) -> bytes:
    file = io.BytesIO()
    (mask if isinstance(mask, Image.Image) else Image.fromarray(mask)).save(file, "PNG")
    return file.getvalue()


def labels(*values: int) -> np.ndarray:
    """A mask with vertical stripes of these labels."""
    columns = np.array(values)[np.arange(WIDTH) * len(values) // WIDTH]
    return np.broadcast_to(columns, (HEIGHT, WIDTH)).astype(np.uint8).copy()


def mat(**variables: object) -> bytes:
    file = io.BytesIO()
    savemat(file, variables)
    return file.getvalue()


def sbd_mat(mask: np.ndarray) -> bytes:
    """As SBD's: a struct GTcls with Boundaries, Segmentation and CategoriesPresent."""
    return mat(GTcls={"Segmentation": mask, "CategoriesPresent": np.unique(mask[mask > 0])})


def write_archive(path: Path, members: Mapping[str, Any]) -> Path:
    """A zip, tar or tgz file of contents by name; a TarInfo is a member without content."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        return path
    with tarfile.open(path, "w:" if path.suffix == ".tar" else "w:gz") as tar:
        for name, content in members.items():
            info = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.size = 0 if info is content else len(content)
            tar.addfile(info, None if info is content else io.BytesIO(content))
    return path


def lines(names: Iterable[str]) -> bytes:
    return "".join(f"{name}\n" for name in names).encode()


VOC_TRAIN, VOC_VAL = ["2007_000001", "2007_000002"], ["2007_000003"]
SBD_ONLY = ["2008_000004", "2008_000005", "2008_000006"]


def make_voc(folder: Path) -> None:
    members = {f"{VOC}/Annotations/2007_000001.xml": b"<annotation/>"}
    for name in [*VOC_TRAIN, *VOC_VAL, *SBD_ONLY]:
        members[f"{VOC}/JPEGImages/{name}.jpg"] = jpg()
    for name in [*VOC_TRAIN, *VOC_VAL]:
        members[f"{VOC}/SegmentationClass/{name}.png"] = png(labels(0, 255, 15, 255, 20))
        members[f"{VOC}/SegmentationObject/{name}.png"] = png(labels(0, 1))
    for part, names in (("train", VOC_TRAIN), ("val", VOC_VAL), ("trainval", VOC_TRAIN + VOC_VAL)):
        members[f"{VOC}/ImageSets/Segmentation/{part}.txt"] = lines(names)
        members[f"{VOC}/ImageSets/Main/{part}.txt"] = lines(names)
    write_archive(folder / "VOCtrainval_11-May-2012.tar", members)
    write_archive(folder / "benchmark.tgz", sbd_members())


def sbd_members() -> dict[str, bytes]:
    root = "benchmark_RELEASE/dataset"
    members = {f"{root}/img/2008_000004.jpg": jpg()}
    for i, name in enumerate([*SBD_ONLY, VOC_TRAIN[0], VOC_VAL[0]]):
        members[f"{root}/cls/{name}.mat"] = sbd_mat(labels(0, i + 1, 7))
    # SBD's lists mix VOC's: its training list holds a validation image.
    members[f"{root}/train.txt"] = lines([*SBD_ONLY[:2], VOC_VAL[0]])
    members[f"{root}/val.txt"] = lines([SBD_ONLY[2], VOC_TRAIN[0]])
    return members


COCO = {"train2017": ["000000000009", "000000000025", "000000000030"], "val2017": ["000000000139"]}


def coco_masks() -> dict[str, np.ndarray]:
    """By member: every id of the official masks somewhere, and unlabelled pixels in each."""
    names = [f"{part}/{name}.png" for part in COCO for name in COCO[part]]
    values = np.resize(np.arange(182), len(names) * HEIGHT * WIDTH).astype(np.uint8)
    masks = dict(zip(names, values.reshape(len(names), HEIGHT, WIDTH)))
    for mask in masks.values():
        mask[:, 0] = 255
    return masks


def make_coco(folder: Path) -> None:
    for part, names in COCO.items():
        images = {f"{part}/{name}.jpg": jpg() for name in names}
        write_archive(folder / f"{part}.zip", images)
    masks = {name: png(mask) for name, mask in coco_masks().items()}
    write_archive(folder / "stuffthingmaps_trainval2017.zip", masks)


CONTEXT = {"train": ["2008_000002", "2008_000003"], "val": ["2008_000007"]}


def detail_json() -> dict[str, Any]:
    """PASCAL in Detail: 2008_000002 has sky (360), a person over it (284), and a ball (10)."""
    size = {"height": HEIGHT, "width": WIDTH}
    images = [
        {"image_id": int(name.replace("_", "")), "file_name": f"{name}.jpg", "phase": part} | size
        for part, names in (CONTEXT | {"test": ["2010_000009"]}).items()
        for name in names
    ]
    painted = [  # by pycocotools 2.0.11
        (2008000002, 360, "084000000000000000000000000000000"),  # rows below 8
        (2008000002, 284, "3750000000Q4"),  # rows 3..9, columns 0..4
        (2008000002, 10, "X5h0"),  # columns 14 and 15
        (2008000003, 458, "0P6"),  # all
        (2008000007, 458, "0P6"),
    ]
    annotations = []
    for image_id, category, code in painted:
        mask = {"segmentation": {"size": [HEIGHT, WIDTH], "counts": code}}
        parts = {"parts": [{"part_id": 3, **mask}]}
        annotations.append({"image_id": image_id, "category_id": category} | mask | parts)
    return {
        "images": images,
        "annos_segmentation": annotations,
        "annos_joints": [{"image_id": 2008000002, "joints": [[1, 2, 1]], "person_id": 1}],
    }


def detail_masks() -> dict[str, np.ndarray]:
    """The masks of :func:`detail_json`: sky is class 47, person 37, wood 59."""
    first = np.zeros((HEIGHT, WIDTH), np.uint8)
    first[:8] = 47
    first[3:10, :5] = 37
    first[:, 14:] = 0
    wood = np.full((HEIGHT, WIDTH), 59, np.uint8)
    return {"2008_000002": first, "2008_000003": wood, "2008_000007": wood}


def make_context(folder: Path, matlab: bool = False) -> None:
    root, names = "VOCdevkit/VOC2010", [*CONTEXT["train"], *CONTEXT["val"]]
    members = {f"{root}/JPEGImages/{name}.jpg": jpg() for name in names}
    for part in CONTEXT:  # one image of VOC's own lists has no mask
        members[f"{root}/ImageSets/Main/{part}.txt"] = lines([*CONTEXT[part], "2009_000001"])
    write_archive(folder / "VOCtrainval_03-May-2010.tar", members)
    if not matlab:
        (folder / "trainval_merged.json").write_text(json.dumps(detail_json()))
        return
    masks = np.full((HEIGHT, WIDTH), 458, np.uint16)
    masks[0], masks[1] = 2, 459  # aeroplane, and wool, which is none of the 59
    members = {f"trainval/{name}.mat": mat(LabelMap=masks) for name in names}
    write_archive(folder / "trainval.tar.gz", members | {"trainval/labels.txt": b"2: aeroplane\n"})


ADE = {"training": ["ADE_train_00000001", "ADE_train_00000002"], "validation": ["ADE_val_00000001"]}


def make_ade(folder: Path) -> None:
    root = "ADEChallengeData2016"
    members = {f"{root}/objectInfo150.txt": b"Idx\tRatio\n", f"{root}/": b""}
    for part, names in ADE.items():
        for name in names:
            members[f"{root}/images/{part}/{name}.jpg"] = jpg()
            members[f"{root}/annotations/{part}/{name}.png"] = png(labels(0, 1, 150))
    write_archive(folder / f"{root}.zip", members)


MAKE = {"voc": make_voc, "coco_stuff": make_coco, "context": make_context, "ade": make_ade}


def small(key: str) -> DataSet:
    """A data set whose published numbers are those of the small archives."""
    counts = {"voc": (5, 1), "coco_stuff": (3, 1), "context": (2, 1), "ade": (2, 1)}[key]
    names = {"train.txt": 2, "aug.txt": 3, "val.txt": 1}
    data_set = DATA_SETS[key]
    splits = tuple(
        dataclasses.replace(
            split, count=count, lists={file: names[Path(file).name] for file in split.lists}
        )
        for split, count in zip(data_set.splits, counts)
    )
    folders = dict(zip(data_set.folders, (6, 3, 6)))
    return dataclasses.replace(data_set, splits=splits, folders=folders)


def prepared(key: str, folder: Path, force: bool = False) -> Work:
    """Prepare from the archives in ``folder/archives``, into ``folder/data``."""
    data_set = DATA_SETS[key]
    archives = find_archives(data_set, folder / "archives")
    work = Work(archives, folder / "data" / data_set.root, force)
    data_set.prepare(work)
    return work


def read(path: Path) -> np.ndarray:
    return np.array(Image.open(path))
