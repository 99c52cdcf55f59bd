"""Verification finds what makes results wrong."""

from __future__ import annotations

import dataclasses
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from dataset_converters import DATA_SETS
from dataset_converters.verify import Finding, verify
from PIL import Image

from tests.tools.dataset_converters import official
from tests.tools.dataset_converters.official import MAKE, labels, png, prepared, read, small

DOCS = Path(__file__).parents[3] / "docs" / "data.md"


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All data sets, prepared once."""
    folder = tmp_path_factory.mktemp("originals")
    for key, make in MAKE.items():
        make(folder / "archives")
        prepared(key, folder)
    return folder / "data"


@pytest.fixture
def out(originals: Path, tmp_path: Path) -> Path:
    shutil.copytree(originals, tmp_path / "data")
    return tmp_path / "data"


def found(out: Path, key: str, sample: int | None = None) -> list[Finding]:
    findings = verify(small(key), out, sample).findings
    return [finding for finding in findings if "classes occur in no mask" not in finding.message]


@pytest.mark.parametrize("key", MAKE)
def test_what_was_prepared_is_right(out: Path, key: str) -> None:
    assert found(out, key) == []
    result = verify(small(key), out)
    assert all(number == published for _, number, published in result.counts)
    assert result.masks == sum(split.count for split in small(key).splits)
    assert result.pixels.sum() == result.masks * official.HEIGHT * official.WIDTH


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
        for part in (data_set.label_rule, data_set.root, data_set.command):
            assert part in text


VOC, ADE = Path("VOCdevkit/VOC2012"), Path("ade/ADEChallengeData2016")
COCO = Path("coco_stuff164k")
CONTEXT = Path("VOCdevkit/VOC2010")


def overwrite(pattern: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], None]:
    """Replace the masks that fit a pattern."""

    def act(out: Path) -> None:
        for path in out.glob(pattern):
            Image.fromarray(change(read(path))).save(path)

    return act


def remove(*patterns: str) -> Callable[[Path], None]:
    def act(out: Path) -> None:
        for pattern in patterns:
            for path in out.glob(pattern):
                path.unlink()

    return act


def shifted(mask: np.ndarray) -> np.ndarray:
    return np.where(mask == 255, 0, mask).astype(np.uint8) - np.uint8(1)


def official_ids(out: Path) -> None:
    for member, mask in official.coco_masks().items():
        path = out / COCO / "annotations" / member.replace(".png", "_labelTrainIds.png")
        path.write_bytes(png(mask))


def overlap(out: Path) -> None:
    with (out / VOC / "ImageSets/Segmentation/train.txt").open("a") as file:
        file.write(f"{official.VOC_VAL[0]}\n")


VOC_MASK = f"{VOC}/SegmentationClass/{official.VOC_VAL[0]}.png"
ADE_MASK = f"{ADE}/annotations/validation/ADE_val_00000001.png"


@pytest.mark.parametrize(
    ("key", "act", "messages"),
    [
        ("ade", lambda out: shutil.rmtree(out / ADE), ["error: there is no folder"]),
        (
            "ade",
            remove(f"{ADE}/images/training/*1.jpg"),
            ["error: images/training/\\*.jpg: 1, published are 2"],
        ),
        ("voc", remove(f"{VOC}/**/aug.txt"), ["error: .*aug.txt: 0, published are 3"]),
        (
            "voc",
            lambda out: (out / VOC / "SegmentationClass/more.png").write_bytes(png(labels(1))),
            ["warning: SegmentationClass/\\*.png: 4, published are 3"],
        ),
        (
            "voc",
            remove(f"{VOC}/JPEGImages/{official.SBD_ONLY[0]}.jpg", f"{VOC}/*/2007_000002.png"),
            ["warning: JPEG", "warning: SegmentationClass/", "warning: .*Aug",
             f"1 images of train are not there\n  JPEGImages/{official.SBD_ONLY[0]}.jpg",
             "1 images of train have no mask\n  SegmentationClassAug/2007_000002.png"],
        ),
        (
            "voc",
            overlap,
            ["error: .*train.txt: 3, published are 2",
             f"1 images are in the training list and .*\n  {official.VOC_VAL[0]}"],
        ),
        (
            "ade",
            lambda out: (out / ADE_MASK).write_bytes((out / ADE_MASK).read_bytes()[:60]),
            ["error: 1 masks of val: image or mask cannot be read\n  .*ADE_val_00000001.png"],
        ),
        (
            "ade",
            overwrite(ADE_MASK, lambda mask: mask.T.copy()),
            ["error: 1 masks of val: another size than the image"],
        ),
        (
            "voc",
            overwrite(VOC_MASK, lambda mask: np.stack([mask] * 3, axis=2)),
            ["error: 1 masks of val: several channels, painted in colours\n .*RGB"],
        ),
        ("voc", overwrite(f"{VOC}/Seg*/*.png", shifted), ["shifted by one"] * 2),
        ("ade", overwrite(f"{ADE}/annotations/*/*.png", shifted), ["255; .*shifted by one"] * 2),
        ("context", overwrite(f"{CONTEXT}/Seg*/*.png", shifted), ["255; .*shifted by one"]),
        ("coco_stuff", official_ids, ["are official ids, not train ids"] * 2),
        (
            "voc",
            overwrite(VOC_MASK, lambda mask: labels(0, 15)),
            ["error: no mask of val has a void pixel"],
        ),
        (
            "voc",
            overwrite(VOC_MASK, lambda mask: mask.astype(np.uint16) * 2),
            ["1 masks of val hold the labels 30, 40, 510; 0 background",
             "no mask of val has a void pixel"],
        ),
    ],
)  # fmt: skip
def test_findings(out: Path, key: str, act: Callable[[Path], object], messages: list[str]) -> None:
    act(out)
    findings = found(out, key)
    assert len(findings) == len(messages), findings
    for finding, message in zip(findings, messages):
        assert re.search(message, str(finding)), finding


def test_other_known_counts_are_a_warning(out: Path) -> None:
    data_set = small("context")
    splits = [
        dataclasses.replace(split, lists=dict.fromkeys(split.lists, 9)) for split in data_set.splits
    ]
    known = dataclasses.replace(splits[0], other_counts={2: "the original lists"})
    result = verify(dataclasses.replace(data_set, splits=(known, splits[1])), out)
    messages = [str(finding) for finding in result.findings]
    assert messages[0] == "warning: ImageSets/SegmentationContext/train.txt: the original lists"
    assert messages[1].startswith("error: ImageSets/SegmentationContext/val.txt: 1, published")


def test_sample_opens_few_masks_but_counts_all(out: Path) -> None:
    # The second of three: not among two that are evenly spread.
    mask = out / COCO / "annotations/train2017/000000000025_labelTrainIds.png"
    mask.write_bytes(b"no png")
    result = verify(small("coco_stuff"), out, sample=2)
    assert result.masks == 3 and result.findings == []
    mask.unlink()
    assert "have no mask" in str(found(out, "coco_stuff", sample=1))
