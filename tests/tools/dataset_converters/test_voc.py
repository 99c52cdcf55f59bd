"""PASCAL VOC 2012 with SBD: which mask wins, and the list of additional names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.dataset_converters import official
from tests.dataset_converters.official import prepared, read

from zegclip.datasets import VOC20Dataset
from zegclip.errors import InputError


def test_layout_and_masks(tmp_path: Path) -> None:
    official.make_voc(tmp_path / "archives")
    work = prepared("voc", tmp_path, jobs=2)
    root = tmp_path / "data" / "VOCdevkit" / "VOC2012"
    assert work.failures == [] and work.notes == []
    assert sorted(path.name for path in root.iterdir()) == [
        "ImageSets", "JPEGImages", "SegmentationClass", "SegmentationClassAug",
    ]  # fmt: skip
    lists = root / "ImageSets" / "Segmentation"
    assert [path.name for path in (root / "ImageSets").iterdir()] == ["Segmentation"]
    # In neither of VOC's lists, whatever SBD's say.
    assert (lists / "aug.txt").read_text().split() == official.SBD_ONLY
    assert (lists / "trainval.txt").is_file()
    assert len(list((root / "JPEGImages").iterdir())) == 6

    masks = {path.stem: read(path) for path in (root / "SegmentationClassAug").iterdir()}
    own = official.labels(0, 255, 15, 255, 20)
    for name in [*official.VOC_TRAIN, *official.VOC_VAL]:
        assert np.array_equal(masks.pop(name), own), "VOC's own win: they have a void border"
    assert sorted(masks) == official.SBD_ONLY
    for i, name in enumerate(official.SBD_ONLY):
        assert np.array_equal(masks[name], official.labels(0, i + 1, 7))


def test_our_data_set_reads_it(tmp_path: Path) -> None:
    official.make_voc(tmp_path / "archives")
    prepared("voc", tmp_path)
    lists = [f"ImageSets/Segmentation/{part}.txt" for part in ("train", "aug")]
    data = VOC20Dataset(
        data_root=str(tmp_path / "data" / "VOCdevkit" / "VOC2012"),
        data_prefix=dict(img_path="JPEGImages", seg_map_path="SegmentationClassAug"),
        ann_file=lists,
        pipeline=[],
    )
    assert len(data) == 5


def test_twice_changes_nothing_and_what_is_missing_is_made_again(tmp_path: Path) -> None:
    official.make_voc(tmp_path / "archives")
    first = prepared("voc", tmp_path)
    files = [path for path in (tmp_path / "data").rglob("*") if path.is_file()]
    assert first.tally == {"written": len(files)}
    before = {path: path.stat().st_mtime_ns for path in files}
    assert prepared("voc", tmp_path).tally == {"there": len(files)}
    assert {path: path.stat().st_mtime_ns for path in files} == before

    aug = tmp_path / "data" / "VOCdevkit" / "VOC2012" / "SegmentationClassAug"
    half, gone = aug / f"{official.SBD_ONLY[0]}.png", aug / f"{official.SBD_ONLY[1]}.png"
    whole = half.read_bytes()
    half.write_bytes(whole[:-9])
    gone.unlink()
    assert prepared("voc", tmp_path).tally == {
        "written": 1, "replaced": 1, "there": len(files) - 2
    }  # fmt: skip
    assert half.read_bytes() == whole and gone.is_file()


def test_masks_that_are_there_are_kept_unless_forced(tmp_path: Path) -> None:
    official.make_voc(tmp_path / "archives")
    root = tmp_path / "data" / "VOCdevkit" / "VOC2012"
    mask = root / "SegmentationClassAug" / f"{official.SBD_ONLY[0]}.png"
    mask.parent.mkdir(parents=True)
    mask.write_bytes(official.png(official.labels(9)))
    names = root / "ImageSets" / "Segmentation" / "aug.txt"
    names.parent.mkdir(parents=True)
    names.write_text("2008_000004\n")
    work = prepared("voc", tmp_path)
    assert (read(mask) == 9).all() and names.read_text() == "2008_000004\n"
    assert "aug.txt has 1 names, ours would have 3: kept" in work.notes[0]
    prepared("voc", tmp_path, force=True)
    assert np.array_equal(read(mask), official.labels(0, 1, 7))
    assert names.read_text().split() == official.SBD_ONLY


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"no MATLAB file", "MatReadError"),
        (official.mat(other=1), "GTcls"),
        (official.sbd_mat(official.labels(0, 21)), "labels up to 21"),
        (official.sbd_mat(np.zeros((3, 4, 3), np.uint8)), "of shape (3, 4, 3)"),
        (official.sbd_mat(official.labels(1))[:150], ""),
    ],
)
def test_unreadable_masks_are_listed_and_the_rest_is_made(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    official.make_voc(tmp_path / "archives")
    members = official.sbd_members()
    name = f"benchmark_RELEASE/dataset/cls/{official.SBD_ONLY[0]}.mat"
    members[name] = content
    official.write_tar(tmp_path / "archives" / "benchmark.tgz", members)
    work = prepared("voc", tmp_path)
    ((file, why),) = work.failures
    assert file == name and reason in why
    aug = tmp_path / "data" / "VOCdevkit" / "VOC2012" / "SegmentationClassAug"
    made = sorted(path.stem for path in aug.iterdir())
    assert made == sorted([*official.SBD_ONLY[1:], *official.VOC_TRAIN, *official.VOC_VAL])


def test_another_benchmark_is_refused(tmp_path: Path) -> None:
    official.make_voc(tmp_path / "archives")
    official.write_tar(tmp_path / "archives" / "benchmark.tgz", {"x/readme.txt": b"hello"})
    with pytest.raises(InputError, match="not SBD's benchmark.tgz"):
        prepared("voc", tmp_path)


def test_masks_are_index_pngs_whose_colours_say_the_same(tmp_path: Path) -> None:
    official.make_voc(tmp_path / "archives")
    prepared("voc", tmp_path)
    aug = tmp_path / "data" / "VOCdevkit" / "VOC2012" / "SegmentationClassAug"
    with Image.open(aug / f"{official.SBD_ONLY[0]}.png") as mask:
        assert mask.mode == "P"
        assert np.array_equal(np.array(mask.convert("L")), np.array(mask))
