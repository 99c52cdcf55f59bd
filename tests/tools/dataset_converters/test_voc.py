"""PASCAL VOC 2012 with SBD: which mask wins, the list of additional names, what is kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.tools.dataset_converters import official
from tests.tools.dataset_converters.official import SBD_ONLY, VOC_TRAIN, VOC_VAL, prepared, read

LISTS = "ImageSets/Segmentation"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    official.make_voc(tmp_path / "archives")
    return tmp_path


def test_layout_and_masks(folder: Path) -> None:
    work = prepared("voc", folder)
    assert work.failures == []
    made = {str(path.relative_to(work.root)) for path in work.root.rglob("*") if path.is_file()}
    assert made == (
        {f"JPEGImages/{name}.jpg" for name in [*VOC_TRAIN, *VOC_VAL, *SBD_ONLY]}
        | {f"SegmentationClass/{name}.png" for name in [*VOC_TRAIN, *VOC_VAL]}
        | {f"SegmentationClassAug/{name}.png" for name in [*VOC_TRAIN, *VOC_VAL, *SBD_ONLY]}
        | {f"{LISTS}/{part}.txt" for part in ("train", "val", "trainval", "aug")}
    )
    # In neither of VOC's lists, whatever SBD's say.
    assert (work.root / LISTS / "aug.txt").read_text().split() == SBD_ONLY
    masks = {path.stem: read(path) for path in (work.root / "SegmentationClassAug").iterdir()}
    for name in [*VOC_TRAIN, *VOC_VAL]:  # VOC's own win: they have a void border
        assert np.array_equal(masks[name], official.labels(0, 255, 15, 255, 20))
    for i, name in enumerate(SBD_ONLY):
        assert np.array_equal(masks[name], official.labels(0, i + 1, 7))
    # Colours say the same as indices.
    with Image.open(work.root / f"SegmentationClassAug/{SBD_ONLY[0]}.png") as mask:
        assert mask.mode == "P"
        assert np.array_equal(np.array(mask.convert("L")), np.array(mask))


def test_twice_changes_nothing_and_what_is_missing_or_half_is_made_again(folder: Path) -> None:
    work = prepared("voc", folder)
    files = [path for path in work.root.rglob("*") if path.is_file()]
    before = {path: path.stat().st_mtime_ns for path in files}
    assert work.tally == {"written": len(files)}
    assert prepared("voc", folder).tally == {"there": len(files)}
    assert {path: path.stat().st_mtime_ns for path in files} == before

    aug = work.root / "SegmentationClassAug"
    half, image = aug / f"{SBD_ONLY[0]}.png", work.root / f"JPEGImages/{SBD_ONLY[0]}.jpg"
    whole, photo = half.read_bytes(), image.read_bytes()
    half.write_bytes(whole[:-9])
    image.write_bytes(photo[:100])
    (aug / f"{SBD_ONLY[1]}.png").unlink()
    assert prepared("voc", folder).tally == {"written": 3, "there": len(files) - 3}
    assert half.read_bytes() == whole and image.read_bytes() == photo


def test_the_users_masks_and_lists_are_kept_unless_forced(folder: Path) -> None:
    root = prepared("voc", folder).root
    masks = [root / f"SegmentationClass/{VOC_VAL[0]}.png", root / LISTS / "aug.txt"]
    ours = [path.read_bytes() for path in masks]
    masks[0].write_bytes(official.png(official.labels(9)))
    masks[1].write_text("2008_000004\n")
    # mmseg's converter puts SBD's masks of VOC's images there.
    copy = root / f"SegmentationClassAug/{VOC_TRAIN[0]}.png"
    ours.append(copy.read_bytes())
    copy.write_bytes(official.png(official.labels(1)))
    assert prepared("voc", folder).tally["kept"] == 4  # (and the copy of the first)
    assert (read(masks[0]) == 9).all() and masks[1].read_text() == "2008_000004\n"
    assert (read(copy) == 1).all()
    prepared("voc", folder, force=True)
    assert [path.read_bytes() for path in [*masks, copy]] == ours


def test_another_list_of_as_many_bytes_is_kept_and_said(folder: Path) -> None:
    path = prepared("voc", folder).root / LISTS / "aug.txt"
    other = path.read_bytes().replace(b"2008", b"2009")
    path.write_bytes(other)
    assert prepared("voc", folder).tally["kept"] == 1 and path.read_bytes() == other


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (official.mat(other=1), "GTcls"),
        (official.sbd_mat(official.labels(0, 21)), "labels up to 21"),
        (official.sbd_mat(np.zeros((3, 4, 3), np.uint8)), "of shape (3, 4, 3)"),
    ],
)
def test_unreadable_masks_are_noted_and_the_rest_is_made(
    folder: Path, content: bytes, reason: str
) -> None:
    name = f"benchmark_RELEASE/dataset/cls/{SBD_ONLY[0]}.mat"
    members = official.sbd_members() | {name: content}
    official.write_archive(folder / "archives" / "benchmark.tgz", members)
    work = prepared("voc", folder)
    ((file, why),) = work.failures
    assert file == name and reason in why
    made = {path.stem for path in (work.root / "SegmentationClassAug").iterdir()}
    assert made == {*SBD_ONLY[1:], *VOC_TRAIN, *VOC_VAL}
