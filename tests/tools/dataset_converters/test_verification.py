"""Verification finds what makes results wrong, and says how to mend it."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from dataset_converters import DATA_SETS
from dataset_converters.description import DataDescription
from dataset_converters.label_rules import Finding
from dataset_converters.verification import Verification, shares, verify
from dataset_converters.work import Work
from PIL import Image
from tests.dataset_converters import official
from tests.dataset_converters.official import MAKE, labels, png, prepared, small


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Each data set prepared once."""
    folders = {}
    for key, make in MAKE.items():
        folders[key] = tmp_path_factory.mktemp(key)
        make(folders[key] / "archives")
        prepared(key, folders[key])
    return folders


@pytest.fixture
def trees(originals: dict[str, Path], tmp_path: Path) -> Callable[[str], Path]:
    """A copy of a prepared data set; its root folder."""

    def copy(key: str) -> Path:
        shutil.copytree(originals[key] / "data", tmp_path / key)
        return tmp_path / key / small(key).root

    return copy


def check(
    root: Path, key: str, sample: int | None = None, description: DataDescription | None = None
) -> Verification:
    description = description or small(key)
    out = Path(str(root).removesuffix(description.root))
    return verify(Work(description, {}, out), sample)


def kinds(result: Verification) -> dict[str, str]:
    return {f.kind: f.severity for f in result.findings if f.kind != "classes_without_pixels"}


def only(result: Verification, kind: str) -> Finding:
    (finding,) = (finding for finding in result.findings if finding.kind == kind)
    return finding


@pytest.mark.parametrize("key", MAKE)
def test_what_was_prepared_is_right(trees: Callable[[str], Path], key: str) -> None:
    result = check(trees(key), key)
    assert kinds(result) == {}
    assert result.masks_opened == sum(split.count for split in small(key).splits)
    assert all(row["found"] == row["published"] for row in result.counts)


def test_histogram_and_classes_that_never_occur(trees: Callable[[str], Path]) -> None:
    root = trees("ade")
    result = check(root, "ade")
    table = {name: (pixels, share) for name, pixels, share in shares(result, small("ade"))}
    columns = [int((labels(0, 1, 150)[0] == value).sum()) for value in (0, 1, 150)]
    pixels = [3 * official.HEIGHT * count for count in columns]
    assert [table[name][0] for name in ("other", "wall", "flag")] == pixels
    assert sum(share for _, share in table.values()) == pytest.approx(1)
    never = result.never(small("ade"))
    assert len(never) == 148 and "building" in never and "other" not in never
    warning = only(result, "classes_without_pixels")
    assert warning.severity == "warning" and "148 classes occur in no mask" in warning.message


def test_published_counts() -> None:
    counts = {
        key: {split.name: split.count for split in description.splits}
        for key, description in DATA_SETS.items()
    }
    assert counts == {
        "voc": {"train": 10_582, "val": 1_449},
        "coco_stuff": {"train": 118_287, "val": 5_000},
        "context": {"train": 4_996, "val": 5_104},
        "ade": {"train": 20_210, "val": 2_000},
    }
    for description in DATA_SETS.values():
        for split in description.splits:
            assert not split.lists or sum(split.lists.values()) == split.count


def test_nothing_there(tmp_path: Path) -> None:
    result = verify(Work(DATA_SETS["ade"], {}, tmp_path))
    finding = only(result, "missing")
    assert "there is no folder" in finding.message and "curl" in finding.mend
    assert result.masks_opened == 0


def test_counts_are_compared_with_the_published_ones(trees: Callable[[str], Path]) -> None:
    root = trees("ade")
    (root / "images" / "training" / "ADE_train_00000002.jpg").unlink()
    finding = only(check(root, "ade"), "count")
    assert (finding.severity, finding.split) == ("error", "train")
    assert finding.message == "images/training has 1 images, published are 2"

    root = trees("voc")
    (root / "ImageSets" / "Segmentation" / "aug.txt").unlink()
    result = check(root, "voc")
    assert "aug.txt" in only(result, "missing").message
    (root / "SegmentationClass" / "extra.png").write_bytes(png(labels(0, 255)))
    (extra,) = (f for f in check(root, "voc").findings if f.kind == "count")
    assert extra.severity == "warning" and "SegmentationClass has 4 files" in extra.message


def test_lists_of_the_original_context_are_a_warning(trees: Callable[[str], Path]) -> None:
    root = trees("context")
    plain = small("context")
    # As with the original masks: one name more than the published list.
    train, val = plain.splits
    more = dataclasses.replace(train, lists={next(iter(train.lists)): 1})
    reason = DATA_SETS["context"].splits[0].other_counts[4_998]
    known = dataclasses.replace(more, other_counts={2: reason})
    result = check(root, "context", None, dataclasses.replace(plain, splits=(more, val)))
    assert kinds(result) == {"count": "error"}
    result = check(root, "context", None, dataclasses.replace(plain, splits=(known, val)))
    assert kinds(result) == {"count": "warning"}
    message = only(result, "count").message
    assert "VOC 2010's own train list" in message and "published numbers use the 4,996" in message


def test_missing_files_are_named(trees: Callable[[str], Path]) -> None:
    root = trees("voc")
    (root / "JPEGImages" / f"{official.SBD_ONLY[0]}.jpg").unlink()
    for folder in ("SegmentationClass", "SegmentationClassAug"):
        (root / folder / f"{official.VOC_TRAIN[1]}.png").unlink()
    result = check(root, "voc")
    assert only(result, "missing_image").files == [f"JPEGImages/{official.SBD_ONLY[0]}.jpg"]
    missing = only(result, "missing_mask")
    assert missing.files == [f"SegmentationClassAug/{official.VOC_TRAIN[1]}.png"]
    assert missing.split == "train" and "prepare again" in missing.mend


def test_unreadable_files_sizes_and_channels(trees: Callable[[str], Path]) -> None:
    root = trees("ade")
    masks, images = root / "annotations" / "training", root / "images" / "validation"
    whole = (masks / "ADE_train_00000001.png").read_bytes()
    (masks / "ADE_train_00000001.png").write_bytes(whole[: len(whole) // 2])
    Image.fromarray(labels(0, 1).T.copy()).save(masks / "ADE_train_00000002.png")
    (images / "ADE_val_00000001.jpg").write_bytes(b"no jpeg")
    result = check(root, "ade")
    assert kinds(result) == dict(unreadable_mask="error", size="error", unreadable_image="error")
    assert only(result, "unreadable_mask").files == ["annotations/training/ADE_train_00000001.png"]
    assert "12x16, its image 16x12" in only(result, "size").message
    assert only(result, "unreadable_image").split == "val"


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
def test_masks_painted_in_colours(trees: Callable[[str], Path], mode: str) -> None:
    root = trees("voc")
    for path in (root / "SegmentationClass").iterdir():
        with Image.open(path) as mask:
            painted = mask.convert("RGB").convert(mode)
        painted.save(path)
    finding = only(check(root, "voc"), "channels")
    assert mode in finding.message and "several channels" in finding.message
    assert finding.files == [f"SegmentationClass/{official.VOC_VAL[0]}.png"]


def shift(folder: Path) -> None:
    """Masks with 0 ignored become masks from 0 on with 255 ignored."""
    for path in folder.rglob("*.png"):
        Image.fromarray(official.read(path) - np.uint8(1)).save(path)


def test_shifted_masks(trees: Callable[[str], Path]) -> None:
    for key, masks in (("ade", "annotations"), ("context", "SegmentationClassContext")):
        root = trees(key)
        shift(root / masks)
        finding = next(f for f in check(root, key).findings if f.kind == "shifted")
        assert "shifted by one" in finding.message and "reduce_zero_label" in finding.mend

    root = trees("voc")
    for folder in ("SegmentationClass", "SegmentationClassAug"):
        for path in (root / folder).iterdir():
            mask = official.read(path)
            mask[mask == 255] = 0
            Image.fromarray(mask - np.uint8(1)).save(path)
    result = check(root, "voc")
    assert kinds(result) == {"shifted": "error"}
    assert {f.split for f in result.findings if f.kind == "shifted"} == {"train", "val"}


def test_official_ids_instead_of_train_ids(trees: Callable[[str], Path]) -> None:
    root = trees("coco_stuff")
    for member, mask in official.coco_masks().items():
        path = root / "annotations" / member.replace(".png", "_labelTrainIds.png")
        path.write_bytes(png(mask))
    result = check(root, "coco_stuff")
    assert set(kinds(result)) == {"raw_ids"}
    finding = next(f for f in result.findings if f.kind == "raw_ids")
    assert "171" in finding.message and "official ids, not train ids" in finding.message
    assert "--force" in finding.mend

    for path in (root / "annotations").rglob("*.png"):
        path.rename(path.with_name(path.name.replace("_labelTrainIds", "")))
    result = check(root, "coco_stuff")
    assert set(kinds(result)) == {"not_converted"}
    assert "prepare_dataset.py coco_stuff" in result.findings[0].mend


def test_lost_void(trees: Callable[[str], Path]) -> None:
    root = trees("voc")
    for path in (root / "SegmentationClass").iterdir():
        path.write_bytes(png(labels(0, 15, 20)))
    finding = only(check(root, "voc"), "no_void")
    assert (finding.severity, finding.split) == ("error", "val")
    # COCO-Stuff: not every mask has unlabelled pixels; among twenty, one has.
    root = trees("coco_stuff")
    names = [f"{i:012}" for i in range(20)]
    for folder, suffix, content in (
        ("images", ".jpg", official.jpg()),
        ("annotations", "_labelTrainIds.png", png(labels(0, 170))),
    ):
        for path in (root / folder / "train2017").iterdir():
            path.unlink()
        for name in names:
            (root / folder / "train2017" / f"{name}{suffix}").write_bytes(content)
    plain = small("coco_stuff")
    train, val = plain.splits
    plain = dataclasses.replace(plain, splits=(dataclasses.replace(train, count=20), val))
    assert only(check(root, "coco_stuff", None, plain), "no_void").split == "train"
    assert kinds(check(root, "coco_stuff", 19, plain)) == {}


def test_other_labels(trees: Callable[[str], Path]) -> None:
    root = trees("voc")
    path = root / "SegmentationClassAug" / f"{official.SBD_ONLY[1]}.png"
    Image.fromarray(labels(0, 21, 200)).save(path)
    finding = only(check(root, "voc"), "labels")
    assert "1 masks hold the labels 21, 200; 0 background, 1..20" in finding.message
    assert finding.files == [f"SegmentationClassAug/{path.name}"]
    Image.fromarray(labels(0, 1).astype(np.uint16) * 300).save(path)
    assert "the labels 300;" in only(check(root, "voc"), "labels").message


def test_training_on_validation_images(trees: Callable[[str], Path]) -> None:
    root = trees("voc")
    with (root / "ImageSets" / "Segmentation" / "aug.txt").open("a") as file:
        file.write(f"{official.VOC_VAL[0]}\n")
    finding = only(check(root, "voc"), "overlap")
    assert finding.files == official.VOC_VAL and finding.severity == "error"


def test_sample_opens_few_masks_but_counts_all(trees: Callable[[str], Path]) -> None:
    root = trees("coco_stuff")
    last = root / "annotations" / "train2017" / "000000000025_labelTrainIds.png"
    last.write_bytes(b"no png")  # the second of three: not among two that are evenly spread
    result = check(root, "coco_stuff", sample=2)
    assert result.masks_opened == 3 and kinds(result) == {}
    last.unlink()
    assert set(kinds(check(root, "coco_stuff", sample=1))) == {"missing_mask"}


def test_a_finding_names_the_first_few_files_and_how_many() -> None:
    finding = Finding("error", "size", "val", "9 masks", "mend it", [f"{i}.png" for i in range(9)])
    assert finding.text() == (
        "error [val]: 9 masks\n  0.png, 1.png, 2.png, 3.png, 4.png and 4 more\n  mend: mend it"
    )
