"""Verification finds what makes results wrong."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from dataset_converters import DATA_SETS
from dataset_converters.verify import verify
from PIL import Image

from tests.tools.dataset_converters import official
from tests.tools.dataset_converters.official import SBD_ONLY, VOC_TRAIN, VOC_VAL, labels, png, small

DOCS = Path(__file__).parents[3] / "docs" / "data.md"


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All data sets, prepared once."""
    folder = tmp_path_factory.mktemp("originals")
    for key, make in official.MAKE.items():
        make(folder / "archives")
        official.prepared(key, folder)
    return folder / "data"


@pytest.fixture
def out(originals: Path, tmp_path: Path) -> Path:
    shutil.copytree(originals, tmp_path / "data")
    return tmp_path / "data"


def found(out: Path, key: str) -> list[str]:
    findings = map(str, verify(small(key), out).findings)
    return [finding for finding in findings if "classes occur in no mask" not in finding]


def test_published_numbers_are_those_of_the_documentation() -> None:
    text = DOCS.read_text(encoding="utf-8")
    for data_set in DATA_SETS.values():
        for archive in data_set.archives:
            for choice in filter(None, (archive, archive.instead)):
                assert f"[{choice.name}]({choice.url}) ({choice.gigabytes:g} GB)" in text
        train, val = data_set.splits
        assert f"{train.count:,} + {val.count:,}" in text
        for split in data_set.splits:
            assert not split.lists or sum(split.lists.values()) == split.count
        for part in (data_set.label_rule, data_set.root, data_set.command()):
            assert part in text


LISTS = "ImageSets/Segmentation"
VOC, CONTEXT = "VOCdevkit/VOC2012", "VOCdevkit/VOC2010"
CONTEXT_LIST = f"{CONTEXT}/ImageSets/SegmentationContext/val.txt"
COCO, ADE = "coco_stuff164k", "ade/ADEChallengeData2016"
VOC_MASK = f"{VOC}/SegmentationClass/{VOC_VAL[0]}.png"
ADE_MASK = f"{ADE}/annotations/validation/ADE_val_00000001.png"
Act = Callable[[Path], object]


def repaint(pattern: str, change: Callable[[np.ndarray], np.ndarray]) -> Act:
    """Replace the masks that fit a pattern."""

    def act(out: Path) -> None:
        for path in out.glob(pattern):
            Image.fromarray(change(official.read(path))).save(path)

    return act


def remove(*patterns: str) -> Act:
    return lambda out: [path.unlink() for pattern in patterns for path in out.glob(pattern)]


def shifted(mask: np.ndarray) -> np.ndarray:
    return np.where(mask == 255, 0, mask).astype(np.uint8) - np.uint8(1)


def official_ids(out: Path) -> None:
    for member, mask in official.coco_masks().items():
        path = out / COCO / "annotations" / member.replace(".png", "_labelTrainIds.png")
        path.write_bytes(png(mask))


@pytest.mark.parametrize(
    ("key", "act", "messages"),
    [
        ("ade", lambda out: shutil.rmtree(out / ADE), ["error: there is no folder"]),
        ("ade", remove(f"{ADE}/images/training/*1.jpg"), ["error: images/training/.*: 1, .* 2"]),
        ("voc", remove(f"{VOC}/**/aug.txt"), ["error: .*aug.txt: 0, published are 3"]),
        ("voc", lambda out: (out / VOC / "SegmentationClass/more.png").write_bytes(png(labels(1))),
         ["warning: SegmentationClass/.*: 4, published are 3"]),
        ("context", lambda out: (out / CONTEXT_LIST).write_text("2008_000007\n" * 5_105),
         ["warning: .*val.txt: 5,105, published are 1; VOC 2010's own list"]),
        ("voc", remove(f"{VOC}/JPEGImages/{SBD_ONLY[0]}.jpg", f"{VOC}/*/{VOC_TRAIN[1]}.png"),
         ["warning: JPEG", "warning: SegmentationClass/", "warning: .*Aug",
          f"1 images of train are not there\n  JPEGImages/{SBD_ONLY[0]}.jpg",
          f"1 images of train have no mask\n  SegmentationClass/{VOC_TRAIN[1]}.png"]),
        ("voc", lambda out: (out / VOC / LISTS / "aug.txt").write_text(f"a b {VOC_VAL[0]}"),
         [f"error: 1 images of val are in train: .*\n  {VOC_VAL[0]}", "2 images of train are not"]),
        ("ade", lambda out: (out / ADE_MASK).write_bytes((out / ADE_MASK).read_bytes()[:60]),
         ["error: 1 masks of val cannot be used\n  .*ADE_val_00000001.png \\("]),
        ("ade", repaint(ADE_MASK, np.transpose), ["cannot be used\n .*another size "]),
        ("voc", repaint(VOC_MASK, lambda mask: np.stack([mask] * 3, axis=2)),
         ["error: 1 masks of val cannot be used\n .*several channels .RGB."]),
        ("voc", repaint(f"{VOC}/Seg*/*.png", shifted), ["shifted by one"] * 2),
        ("ade", repaint(f"{ADE}/annotations/*/*.png", shifted), ["255; .*shifted by one"] * 2),
        ("context", repaint(f"{CONTEXT}/Seg*/*.png", shifted), ["255; .*shifted by one"]),
        ("coco_stuff", official_ids, ["are official ids, not train ids"] * 2),
        ("voc", repaint(VOC_MASK, lambda mask: labels(0, 15)), ["no mask of val has a void pixel"]),
        ("voc", repaint(VOC_MASK, lambda mask: mask.astype(np.uint16) * 2),
         ["1 masks of val hold the labels 30, 40, 510; 0 background", "no mask of val has a void"]),
    ],
)  # fmt: skip
def test_findings(out: Path, key: str, act: Act, messages: list[str]) -> None:
    act(out)
    findings = found(out, key)
    assert len(findings) == len(messages), findings
    for finding, message in zip(findings, messages):
        assert re.search(message, finding), finding


def test_hidden_files_do_not_count(out: Path) -> None:
    for name in ("._2007_000001.jpg", f".{VOC_VAL[0]}.jpg.12-34.jpg"):
        (out / VOC / "JPEGImages" / name).write_bytes(b"left over")
    assert found(out, "voc") == []


def test_training_masks_are_vocs_own_where_both_folders_have_one(out: Path) -> None:
    """As in mmseg's trees, where SBD's masks of VOC's images are there too."""
    (out / VOC / f"SegmentationClassAug/{VOC_TRAIN[0]}.png").write_bytes(b"not looked at")
    assert found(out, "voc") == []


def test_sample_opens_few_masks_but_counts_all(out: Path) -> None:
    # The second of three: not among two that are evenly spread.
    mask = out / COCO / "annotations/train2017/000000000025_labelTrainIds.png"
    mask.write_bytes(b"no png")
    result = verify(small("coco_stuff"), out, sample=2)
    assert result.masks == 3 and result.findings == []
    mask.unlink()
    (finding,) = verify(small("coco_stuff"), out, sample=1).findings
    assert "1 images of train have no mask" in finding.message
