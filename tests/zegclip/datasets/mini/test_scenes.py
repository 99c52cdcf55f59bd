"""The drawings, the folders of scenes, and the data set on them."""

from __future__ import annotations

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

VOC = VOC20Dataset.METAINFO["classes"]


class TestArtwork:
    def test_licences_and_attributions_lie_beside_the_drawings(self) -> None:
        text = (ARTWORK / "LICENSES.md").read_text()
        for style, licence in (
            ("noto", "Apache License"),
            ("twemoji", "CC-BY 4.0"),
            ("fluent", "MIT License"),
        ):
            assert f"{style}.webp" in text
            assert licence in (ARTWORK / f"LICENSE-{style}.txt").read_text()

    def test_every_class_has_drawings_for_both_splits_in_vocs_order(self) -> None:
        assert tuple(scene_classes()) == VOC and set(class_words()) == set(VOC)
        for name, drawings in scene_classes().items():
            assert sum(d.held_out for d in drawings) >= 1, name
            assert sum(not d.held_out for d in drawings) >= 2, name
            assert len({(d.style, d.code) for d in drawings}) == len(drawings), name

    def test_several_hundred_further_names_none_of_them_a_class(self) -> None:
        others = {d.name for d in load_drawings() if not d.is_class}
        words = {word for d in load_drawings() if d.is_class for word in d.words}
        assert len(others) > 300 and not others & words

    def test_drawings_are_cropped_to_their_outline(self) -> None:
        for drawing in load_drawings():
            opaque = drawing.pixels[..., 3] > 16
            for edge in (opaque[0], opaque[-1], opaque[:, 0], opaque[:, -1]):
                assert edge.any(), f"{drawing.style} {drawing.code}"


class TestScenes:
    @pytest.mark.parametrize(
        ("split", "index", "drawn", "brightness", "covered"),
        [
            ("train", 0, "bicycle diningtable train sheep", 126.00, 0.3028),
            ("train", 149, "bicycle chair dog boat", 144.08, 0.2428),
            ("val", 1, "aeroplane horse", 115.56, 0.2337),
            ("val", 149, "motorbike", 126.51, 0.2216),
        ],
    )
    def test_scenes_are_those_of_the_recorded_numbers(
        self, split: str, index: int, drawn: str, brightness: float, covered: float
    ) -> None:
        scene, labels = make_scene(split, index)
        assert " ".join(drawing.name for drawing in scene.drawings) == drawn
        assert scene.image.mean() == pytest.approx(brightness, abs=0.05)
        assert (labels > 0).mean() == pytest.approx(covered, abs=1e-3)

    def test_labels_are_the_drawings_classes(self) -> None:
        for index in range(6):
            scene, labels = make_scene("val", index)
            assert (labels[scene.mask == 0] == 0).all()
            for position, drawing in enumerate(scene.drawings, start=1):
                values = set(labels[scene.mask == position])
                assert values <= {VOC.index(drawing.name) + 1}

    def test_held_out_drawings_only_in_val(self) -> None:
        share = {
            split: np.mean(
                [d.held_out for i in range(150) for d in make_scene(split, i)[0].drawings]
            )
            for split in SPLITS
        }
        assert share["train"] == share["selection"] == 0 and 0.1 < share["val"] < 0.5

    def test_the_selection_has_scenes_of_its_own(self) -> None:
        images = [make_scene(split, i)[0].image.tobytes() for split in SPLITS for i in range(20)]
        assert len(set(images)) == 3 * 20


class TestFolders:
    def test_what_lies_in_one(self, tmp_path: Path) -> None:
        folder = make_scenes("val", 3, root=tmp_path)
        for index in range(3):
            scene, labels = make_scene("val", index)
            with Image.open(folder / f"JPEGImages/val_{index:05d}.jpg") as picture:
                assert np.abs(np.array(picture).astype(int) - scene.image).mean() < 4
            with Image.open(folder / f"SegmentationClass/val_{index:05d}.png") as mask:
                assert mask.mode == "P" and np.array_equal(np.array(mask), labels)
                colours = np.array(mask.getpalette()).reshape(-1, 3)
        assert colours[[1, 20]].tolist() == [[128, 0, 0], [0, 64, 128]]  # VOC's own

    def test_no_run_replaces_the_scenes_of_another(self, tmp_path: Path) -> None:
        first = make_scenes("train", 2, root=tmp_path)
        before = contents(first)
        others = [
            make_scenes("train", 3, root=tmp_path),
            make_scenes("train", 2, seed=1, root=tmp_path),
            make_scenes("selection", 2, root=tmp_path),
        ]
        assert len({first, *others}) == 4 == len(list(tmp_path.iterdir()))
        assert contents(first) == before
        times = {p: p.stat().st_mtime_ns for p in first.rglob("*")}
        assert make_scenes("train", 2, root=tmp_path) == first  # made once
        assert {p: p.stat().st_mtime_ns for p in first.rglob("*")} == times
        assert contents(make_scenes("train", 2, root=tmp_path / "again")) == before

    def test_other_code_or_artwork_makes_another_folder(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = make_scenes("val", 1, root=tmp_path)
        for name, value in (("VERSION", 2), ("SIZE", 48)):
            monkeypatch.setattr(scenes, name, value)
            scenes._content_key.cache_clear()
            assert make_scenes("val", 1, root=tmp_path) != first
            monkeypatch.undo()
        scenes._content_key.cache_clear()

    def test_of_several_processes_at_once_the_first_ones_folder_is_kept(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write, others = scenes._write_scenes, []

        def write_while_another_is_faster(*args: Any) -> None:
            write(*args)
            monkeypatch.undo()
            others.append(make_scenes("val", 2, root=tmp_path))
            (others[0] / "first").touch()

        monkeypatch.setattr(scenes, "_write_scenes", write_while_another_is_faster)
        assert make_scenes("val", 2, root=tmp_path) == others[0]
        assert (others[0] / "first").exists() and list(tmp_path.iterdir()) == others

    def test_an_unfinished_folder_does_not_stay(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*args: Any) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr("zegclip.datasets.mini.scenes.make_scene", fail)
        with pytest.raises(KeyboardInterrupt):
            make_scenes("val", 1, root=tmp_path)
        assert not list(tmp_path.iterdir())


class TestDataset:
    def build(self, root: Path, **options: Any) -> Any:
        pipeline = [dict(type="LoadImageFromFile"), dict(type="LoadCheckedAnnotations")]
        config = dict(type="MiniSceneDataset", data_root=str(root), pipeline=pipeline, **options)
        return DATASETS.build(config)

    def test_it_is_vocs_on_scenes(self, tmp_path: Path) -> None:
        train = self.build(tmp_path, number=4)
        assert isinstance(train, VOC20Dataset) and len(train) == 4
        assert len(self.build(tmp_path, split="val", number=3, test_mode=True)) == 3
        assert "mini" in train.metainfo["dataset_name"]
        assert self.build(tmp_path, number=4, unseen=["cat"]).metainfo["unseen"] == ("cat",)
        labels = make_scene("train", 2)[1]
        sample = train[2]
        assert sample["img"].shape == (96, 96, 3)
        assert np.array_equal(sample["gt_seg_map"], np.where(labels == 0, 255, labels - 1))

    def test_other_splits_are_refused_and_nothing_is_ever_missing(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="no split 'test', but train, val, selection"):
            self.build(tmp_path, split="test")
        assert type(self.build(tmp_path, number=1)).missing({"data_root": "nowhere"}) == []


def contents(folder: Path) -> dict[Path, bytes]:
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
