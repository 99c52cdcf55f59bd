"""The folder of scenes: VOC's layout, same seed same bytes, held-out drawings in val only."""

from __future__ import annotations

import multiprocessing

import numpy as np
import pytest
from PIL import Image

from zegclip.datasets.mini.scenes import make_scene, make_scenes, read_stamp, scene_classes


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return make_scenes(tmp_path_factory.mktemp("mini") / "scenes", num_train=6, num_val=4)


def contents(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_layout_is_vocs(root):
    names = (root / "ImageSets/Segmentation/train.txt").read_text().split()
    assert len(names) == 6
    assert len((root / "ImageSets/Segmentation/val.txt").read_text().split()) == 4
    for name in names:
        assert Image.open(root / f"JPEGImages/{name}.jpg").size == (96, 96)
        for folder in ("SegmentationClass", "SegmentationClassAug"):
            mask = Image.open(root / f"{folder}/{name}.png")
            assert (mask.mode, mask.size) == ("P", (96, 96))
    # VOC's own palette: aeroplane is dark red, tvmonitor a blue, void nearly white.
    palette = np.array(mask.getpalette("RGB")).reshape(-1, 3)
    assert palette[1].tolist() == [128, 0, 0]
    assert palette[20].tolist() == [0, 64, 128]


def test_masks_hold_the_labels_of_the_scene(root):
    for split, number in (("train", 6), ("val", 4)):
        for index in range(number):
            scene, labels = make_scene(split, index)
            stored = np.array(Image.open(root / f"SegmentationClassAug/{split}_{index:05d}.png"))
            assert np.array_equal(stored, labels)
            classes = list(scene_classes())
            for position, drawing in enumerate(scene.drawings, start=1):
                values = np.unique(labels[scene.mask == position])
                assert set(values) <= {classes.index(drawing.name) + 1}
            assert (labels[scene.mask == 0] == 0).all()


def test_pictures_are_close_to_the_composed_ones(root):
    scene, _ = make_scene("train", 0)
    stored = np.array(Image.open(root / "JPEGImages/train_00000.jpg")).astype(int)
    assert np.abs(stored - scene.image).mean() < 4


def test_same_seed_same_bytes(root, tmp_path):
    assert contents(make_scenes(tmp_path / "scenes", 6, 4)) == contents(root)
    other = contents(make_scenes(tmp_path / "other", 6, 4, seed=1))
    pictures = [path for path in other if path.suffix == ".jpg"]
    assert all(other[path] != contents(root)[path] for path in pictures)


def test_held_out_drawings_only_in_val():
    train = [d for i in range(150) for d in make_scene("train", i)[0].drawings]
    val = [d for i in range(150) for d in make_scene("val", i)[0].drawings]
    assert not any(d.held_out for d in train)
    assert 0.1 < np.mean([d.held_out for d in val]) < 0.5


def test_scenes_are_made_once(root):
    before = (root / "stamp.json").stat().st_mtime_ns
    make_scenes(root, num_train=6, num_val=4)
    assert (root / "stamp.json").stat().st_mtime_ns == before


def test_other_arguments_replace_the_scenes(tmp_path):
    root = make_scenes(tmp_path / "scenes", 3, 1)
    make_scenes(root, 2, 1)
    assert len(list((root / "JPEGImages").iterdir())) == 3
    assert read_stamp(root)["num_train"] == 2
    assert [path.name for path in tmp_path.iterdir()] == ["scenes"]


def test_a_folder_of_somebody_else_is_left_alone(tmp_path):
    (tmp_path / "voc").mkdir()
    (tmp_path / "voc" / "thesis.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="voc holds files that are no scenes"):
        make_scenes(tmp_path / "voc", 1, 1)
    assert (tmp_path / "voc" / "thesis.txt").read_text() == "mine"


def test_several_processes_at_once(tmp_path):
    context = multiprocessing.get_context("fork")
    with context.Pool(3) as pool:
        roots = pool.starmap(make_scenes, [(tmp_path / "scenes", 4, 2)] * 3)
    assert set(roots) == {tmp_path / "scenes"}
    assert len(list((tmp_path / "scenes/JPEGImages").iterdir())) == 6
    assert [path.name for path in tmp_path.iterdir()] == ["scenes"]
