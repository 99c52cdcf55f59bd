"""The drawings, the folders of scenes, and the data set on them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mmseg.registry import DATASETS
from PIL import Image

from zegclip.datasets import VOC20Dataset
from zegclip.datasets.mini import scenes
from zegclip.datasets.mini.artwork import ARTWORK, class_words, load_drawings
from zegclip.datasets.mini.scenes import SPLITS, make_scene, make_scenes, scene_classes
from zegclip.errors import InputError

SKIN_TONES = ("1f3fb", "1f3fd", "1f3ff")
VOC = VOC20Dataset.METAINFO["classes"]


class TestArtwork:
    def test_licences_and_attributions_lie_beside_the_drawings(self) -> None:
        rows = [r for r in (ARTWORK / "LICENSES.md").read_text().splitlines() if "webp" in r]
        assert {d.style for d in load_drawings()} == {row.split(".webp")[0][3:] for row in rows}
        for row in (row for row in rows if "CC0" not in row):
            licence = re.findall(r"LICENSE-[a-z-]+\.txt", row) or ["LICENSE-fluent.txt"]
            text = (ARTWORK / licence[0]).read_text()
            style = row.split("`")[1]
            assert style in text if "CC BY" in row else re.search("Apache License|MIT Lic", text)

    def test_every_class_has_drawings_for_each_split_in_vocs_order(self) -> None:
        assert tuple(scene_classes()) == VOC and set(class_words()) == set(VOC)
        for name, drawings in scene_classes().items():
            assert len({(d.style, d.code) for d in drawings}) == len(drawings) >= 8, name
            share = {s: np.mean([d.split == s for d in drawings]) for s in SPLITS}
            assert 0.12 <= share["test"] <= 0.4 and share["train"] >= 0.4, name
            assert share["selection"] > 0, name

    def test_what_is_as_good_as_one_drawing_is_in_one_split(self) -> None:
        drawings = {(d.style, d.code): d.split for d in load_drawings() if d.is_class}
        for (style, code), split in drawings.items():
            assert drawings.get((f"{style}_flat", code), split) == split
            plain = "-".join(part for part in code.split("-") if part not in SKIN_TONES)
            assert drawings[style, plain] == split

    def test_no_class_is_drawn_among_the_others(self) -> None:
        others = {d.name for d in load_drawings() if not d.is_class}
        words = {word for d in load_drawings() if d.is_class for word in d.words}
        assert len(others) > 300 and not others & words


class TestScenes:
    @pytest.mark.parametrize(
        ("split", "index", "drawn", "brightness", "covered"),
        [
            ("train", 0, "car train cat", 180.91, 0.3193),
            ("train", 149, "cat", 232.57, 0.1638),
            ("test", 1, "bottle aeroplane bus train", 161.48, 0.3530),
            ("test", 149, "pottedplant boat", 110.30, 0.1622),
        ],
    )
    def test_scenes_are_those_of_the_recorded_numbers(
        self, split: str, index: int, drawn: str, brightness: float, covered: float
    ) -> None:
        scene, labels = make_scene(split, index)
        assert " ".join(drawing.name for drawing in scene.drawings) == drawn
        assert scene.image.mean() == pytest.approx(brightness, abs=0.05)
        assert (labels > 0).mean() == pytest.approx(covered, abs=1e-3)
        for position, drawing in enumerate(scene.drawings, start=1):
            assert set(labels[scene.mask == position]) <= {VOC.index(drawing.name) + 1}

    def test_every_split_has_drawings_of_its_own(self) -> None:
        for split in SPLITS:
            scenes = [make_scene(split, i)[0] for i in range(100)]
            assert {drawing.split for scene in scenes for drawing in scene.drawings} == {split}
            assert len({scene.image.tobytes() for scene in scenes}) == 100


class TestFolders:
    def test_what_lies_in_one(self, tmp_path: Path) -> None:
        folder = make_scenes("test", 1, root=tmp_path)
        scene, labels = make_scene("test", 0)
        with Image.open(folder / "JPEGImages/test_00000.jpg") as picture:
            assert np.abs(np.array(picture).astype(int) - scene.image).mean() < 4
        with Image.open(folder / "SegmentationClass/test_00000.png") as mask:
            assert mask.mode == "P" and np.array_equal(np.array(mask), labels)
            colours = np.array(mask.getpalette()).reshape(-1, 3)
        assert colours[[1, 20]].tolist() == [[128, 0, 0], [0, 64, 128]]  # VOC's own

    def test_no_run_replaces_the_scenes_of_another(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = make_scenes("train", 2, root=tmp_path)
        before = contents(first)
        make_scenes("train", 3, root=tmp_path)
        make_scenes("train", 2, seed=1, root=tmp_path)
        make_scenes("selection", 2, root=tmp_path)
        for name, value in (("VERSION", 1), ("SIZE", 48)):  # other code
            monkeypatch.setattr(scenes, name, value)
            scenes._content_key.cache_clear()
            make_scenes("train", 2, root=tmp_path)
            monkeypatch.undo()
        scenes._content_key.cache_clear()
        assert len(list(tmp_path.iterdir())) == 6 and contents(first) == before
        assert contents(make_scenes("train", 2, root=tmp_path / "again")) == before
        monkeypatch.setattr(scenes, "make_scene", None)
        assert make_scenes("train", 2, root=tmp_path) == first  # not drawn again

    def test_of_several_processes_at_once_the_first_ones_folder_is_kept(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write, others = scenes._write_scenes, []

        def write_while_another_is_faster(*args: Any) -> None:
            write(*args)
            monkeypatch.undo()
            others.append(make_scenes("test", 2, root=tmp_path))
            (others[0] / "first").touch()

        monkeypatch.setattr(scenes, "_write_scenes", write_while_another_is_faster)
        assert make_scenes("test", 2, root=tmp_path) == others[0]
        assert (others[0] / "first").exists() and list(tmp_path.iterdir()) == others

    @pytest.mark.parametrize("exists", [False, True])
    def test_where_the_project_cannot_be_written_they_go_to_the_users_cache(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exists: bool
    ) -> None:
        monkeypatch.setenv("ZEGCLIP_CACHE", str(tmp_path / "cache"))
        site = tmp_path / "site-packages"
        if exists:  # (these tests may run as root, whom no permission stops)
            (site / "scenes").mkdir(parents=True)
            monkeypatch.setattr(scenes.os, "access", lambda path, mode: path != site / "scenes")
        else:
            site.touch()  # no folder can be made in it
        monkeypatch.setattr(scenes, "SCENES", site / "scenes")
        folder = make_scenes("test", 1)
        assert folder.parent == tmp_path / "cache" / "mini_scenes" and contents(folder)
        monkeypatch.setattr(scenes, "SCENES", tmp_path / "scenes")
        assert make_scenes("test", 1).parent == tmp_path / "scenes"


def test_the_data_set_is_vocs_on_scenes(tmp_path: Path) -> None:
    pipeline = [dict(type="LoadImageFromFile"), dict(type="LoadCheckedAnnotations")]
    config = dict(type="MiniSceneDataset", data_root=str(tmp_path), pipeline=pipeline)
    train = DATASETS.build(config | dict(number=4, unseen=["cat"]))
    assert isinstance(train, VOC20Dataset) and len(train) == 4
    assert "mini" in train.metainfo["dataset_name"] and train.metainfo["unseen"] == ("cat",)
    labels, sample = make_scene("train", 2)[1], train[2]
    assert sample["img"].shape == (96, 96, 3)
    assert np.array_equal(sample["gt_seg_map"], np.where(labels == 0, 255, labels - 1))
    assert type(train).missing({"data_root": "nowhere"}) == []
    with pytest.raises(InputError, match="no split 'val', but train, selection, test"):
        DATASETS.build(config | dict(split="val"))


def contents(folder: Path) -> dict[Path, bytes]:
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
