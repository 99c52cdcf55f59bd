from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mmengine.config import Config
from mmseg.registry import DATASETS
from PIL import Image

from zegclip.datasets import VOC20Dataset, ZeroShotDataset
from zegclip.datasets import base as base_module
from zegclip.errors import InputError

LISTS = "ImageSets/Segmentation"
SPLIT_15_5 = ("pottedplant", "sheep", "sofa", "train", "tvmonitor")
FOLDERS = dict(img_path="JPEGImages", seg_map_path="SegmentationClassAug")


def voc(root: str | Path, *lists: str, **changes: Any) -> VOC20Dataset:
    options = dict(
        data_root=str(root), data_prefix=FOLDERS, ann_file=[f"{LISTS}/{name}" for name in lists]
    )
    return VOC20Dataset(**{**options, **changes})


def stems(dataset: VOC20Dataset) -> list[str]:
    return [Path(dataset.get_data_info(i)["img_path"]).stem for i in range(len(dataset))]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """VOC's layout with six empty files of each kind, a-d for training, e and f for validation."""
    for folder, suffix in ((FOLDERS["img_path"], "jpg"), (FOLDERS["seg_map_path"], "png")):
        (tmp_path / folder).mkdir()
        for name in "abcdef":
            (tmp_path / folder / f"{name}.{suffix}").touch()
    (tmp_path / LISTS).mkdir(parents=True)
    for name, images in (("train", "ab"), ("aug", "bcd"), ("val", "ef")):
        (tmp_path / LISTS / f"{name}.txt").write_text("\n".join(images) + "\n\n")
    return tmp_path


class TestMetainfo:
    def test_defaults(self, voc_root: str) -> None:
        meta = voc(voc_root, "val.txt").metainfo
        assert len(meta["classes"]) == len(meta["palette"]) == 20
        assert meta["unseen"] == SPLIT_15_5 and meta["setting"] == "inductive"
        assert meta["synonyms"]["tvmonitor"] == ("tv monitor",)
        assert "background" in meta["ignore_rule"] and "VOC" in meta["dataset_name"]

    def test_palette_is_the_masks_own(self, voc_root: str) -> None:
        dataset = voc(voc_root, "val.txt")
        with Image.open(dataset.get_data_info(0)["seg_map_path"]) as mask:
            colours = np.array(mask.getpalette()).reshape(-1, 3)[1:21]
        np.testing.assert_array_equal(dataset.metainfo["palette"], colours)

    def test_constructor_words(self, voc_root: str) -> None:
        dataset = voc(
            voc_root,
            "val.txt",
            unseen=["dog", "cat"],
            setting="transductive",
            synonyms={"dog": ["hound"]},
        )
        meta, info = dataset.metainfo, dataset.get_data_info(0)
        assert meta["unseen"] == ("cat", "dog") and meta["synonyms"] == {"dog": ("hound",)}
        assert info["unseen_label_ids"] == [7, 11] and info["setting"] == "transductive"
        assert info["num_classes"] == 20 and info["reduce_zero_label"] is True

    def test_texts_are_not_taken_for_files(
        self, voc_root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        Path("inductive").write_text("what mmengine would read\n")
        Path("mine").write_text("that as well\n")
        meta = voc(voc_root, "val.txt", metainfo=dict(dataset_name="mine")).metainfo
        assert meta["setting"] == "inductive" and meta["dataset_name"] == "mine"

    def test_selected_classes(self, voc_root: str) -> None:
        dataset = voc(voc_root, "val.txt", metainfo=dict(classes=("sofa", "chair", "person")))
        assert dataset.metainfo["unseen"] == ("sofa",) and dataset.metainfo["synonyms"] == {}
        info = dataset.get_data_info(0)
        assert info["unseen_label_ids"] == [0] and info["num_classes"] == 20
        assert info["label_map"][17] == 0 and info["label_map"][0] == 255

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            (dict(unseen=["sofas"]), "VOC20Dataset: unseen names no class: 'sofas'.*'sofa'"),
            (dict(unseen=[]), "VOC20Dataset: unseen is empty.*setting='supervised'"),
            (dict(setting="open"), "VOC20Dataset: setting='open'"),
            (dict(synonyms={"couch": ["sofa"]}), "synonyms names no class: 'couch'"),
        ],
    )
    def test_errors(self, voc_root: str, changes: dict, message: str) -> None:
        with pytest.raises(InputError, match=message):
            voc(voc_root, "val.txt", **changes)

    def test_classes_from_a_file(self, tree: Path) -> None:
        (tree / "names.txt").write_text("thing\nstuff\n")
        dataset = ZeroShotDataset(
            data_root=str(tree), data_prefix=FOLDERS, metainfo=dict(classes=str(tree / "names.txt"))
        )
        assert dataset.metainfo["classes"] == ("thing", "stuff") and len(dataset) == 6


class TestLists:
    def test_several_lists_each_image_once(self, tree: Path) -> None:
        assert stems(voc(tree, "train.txt", "aug.txt")) == ["a", "b", "c", "d"]
        assert stems(voc(tree, "val.txt")) == ["e", "f"]

    def test_validation_images_are_left_out_of_training_and_said(
        self, tree: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        said: list[tuple[str, int]] = []
        monkeypatch.setattr(
            base_module, "print_log", lambda text, logger, level: said.append((text, level))
        )
        (tree / LISTS / "sbd.txt").write_text("a\nf\nc\ne\n")
        assert stems(voc(tree, "sbd.txt")) == ["a", "c"]
        ((text, level),) = said
        assert level == logging.WARNING
        assert "2 of the 4 images" in text and "sbd.txt" in text and text.endswith(": f, e")

    def test_a_list_of_validation_images_alone_is_an_error_unless_meant(self, tree: Path) -> None:
        (tree / LISTS / "few.txt").write_text("f\n")
        with pytest.raises(InputError, match=r"few\.txt .*held_out_file=None"):
            voc(tree, "few.txt")
        assert stems(voc(tree, "few.txt", held_out_file=None)) == ["f"]
        assert stems(voc(tree, "few.txt", test_mode=True)) == ["f"]
        assert stems(voc(tree, "train.txt", "val.txt")) == ["a", "b", "e", "f"]

    def test_masks_of_both_folders(self, tree: Path) -> None:
        """Some trees keep VOC's own masks apart from SBD's."""
        (tree / "SegmentationClass").mkdir()
        for name in "abef":
            shutil.move(tree / "SegmentationClassAug" / f"{name}.png", tree / "SegmentationClass")
        dataset = voc(tree, "train.txt", "aug.txt")
        masks = [dataset.get_data_info(i)["seg_map_path"] for i in range(4)]
        folders = [Path(mask).parent.name for mask in masks]
        assert folders == ["SegmentationClass"] * 2 + ["SegmentationClassAug"] * 2

    def test_tree_without_sbd_serves_the_images_of_train(self, tree: Path) -> None:
        shutil.move(tree / "SegmentationClassAug", tree / "SegmentationClass")
        (tree / "SegmentationClass" / "c.png").unlink()
        own = {**FOLDERS, "seg_map_path": "SegmentationClass"}
        assert stems(voc(tree, "train.txt", data_prefix=own)) == ["a", "b"]
        with pytest.raises(InputError, match=r"1 of 4 images .* have no mask in .*: c\.png"):
            voc(tree, "train.txt", "aug.txt", data_prefix=own)

    def test_images_in_subfolders(self, tmp_path: Path) -> None:
        for file in ("img/train/a.jpg", "img/b.jpg", "ann/train/a.png", "ann/b.png"):
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file).touch()
        options = dict(
            data_root=str(tmp_path),
            data_prefix=dict(img_path="img", seg_map_path="ann"),
            metainfo=dict(classes=("thing",)),
        )
        dataset = ZeroShotDataset(**options)
        assert [dataset.get_data_info(i)["seg_map_path"] for i in range(2)] == [
            str(tmp_path / "ann" / "b.png"),
            str(tmp_path / "ann" / "train" / "a.png"),
        ]
        (tmp_path / "ann" / "b.png").unlink()
        with pytest.raises(InputError, match=r"1 of 2 images .* no mask .*: b\.png"):
            ZeroShotDataset(**options)

    def test_folders_are_listed_not_files_asked_for(
        self, tree: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        listed: list[str] = []
        monkeypatch.setattr(
            "zegclip.datasets.files.os.listdir", _counting(listed, base_module.os.listdir)
        )
        asked: list[str] = []
        monkeypatch.setattr(
            "zegclip.datasets.files.os.path.exists", _counting(asked, base_module.os.path.exists)
        )
        voc(tree, "train.txt", "aug.txt")
        assert sorted(Path(path).name for path in listed) == ["JPEGImages", "SegmentationClassAug"]
        assert len(asked) < 4


def _counting(calls: list[str], function: Callable) -> Callable:
    def counted(path: Any) -> Any:
        calls.append(path)
        return function(path)

    return counted


class TestMissing:
    def test_data_root(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"no folder .*nowhere.*JPEGImages.*check_env"):
            voc(tmp_path / "nowhere", "val.txt")

    def test_list(self, tree: Path) -> None:
        with pytest.raises(InputError, match=r"no list .*tranval\.txt"):
            voc(tree, "tranval.txt")

    def test_mask_folder(self, tree: Path) -> None:
        shutil.rmtree(tree / "SegmentationClassAug")
        with pytest.raises(InputError, match=r"no folder .*SegmentationClassAug"):
            voc(tree, "val.txt")

    def test_first_images_are_named_and_the_rest_counted(self, tree: Path) -> None:
        names = [f"x{i}" for i in range(8)]
        (tree / LISTS / "aug.txt").write_text("\n".join(["c", *names]))
        with pytest.raises(
            InputError,
            match=r"8 of 9 images named by .*aug\.txt.*: x0\.jpg.*x4\.jpg and 3 more",
        ):
            voc(tree, "aug.txt")

    def test_image_without_mask(self, tree: Path) -> None:
        (tree / "SegmentationClassAug" / "b.png").unlink()
        with pytest.raises(InputError, match=r"1 of 2 images .*have no mask in .*: b\.png"):
            voc(tree, "train.txt")

    def test_empty_list(self, tree: Path) -> None:
        (tree / LISTS / "train.txt").write_text("\n")
        with pytest.raises(InputError, match=r"no image is named in .*train\.txt"):
            voc(tree, "train.txt")


class TestConfig:
    """configs/_base_/datasets/voc12_20.py on the real photographs."""

    @pytest.fixture
    def cfg(self, configs: Path, voc_root: str) -> Config:
        return with_root(Config.fromfile(configs / "_base_" / "datasets" / "voc12_20.py"), voc_root)

    @pytest.mark.parametrize("setting", ["inductive", "transductive", "supervised"])
    def test_no_unseen_label_id_leaves_the_training_pipeline(
        self, cfg: Config, setting: str
    ) -> None:
        options = cfg.train_dataloader.dataset
        options.update(ann_file=f"{LISTS}/val.txt", setting=setting)  # the photograph with a sofa
        dataset = DATASETS.build(options)
        unseen_ids = dataset.get_data_info(0)["unseen_label_ids"]
        np.random.seed(0)
        samples = [dataset[0]["data_samples"] for _ in range(8)]
        leaked = [np.isin(s.gt_sem_seg.data.numpy(), unseen_ids).any() for s in samples]
        kept = ["gt_unseen_map" in sample for sample in samples]
        if setting == "supervised":
            assert any(leaked)  # the sofa is large: the crops do meet it
        else:
            assert not any(leaked)
        assert kept == [setting == "transductive"] * 8
        if setting == "transductive":
            assert any(sample.gt_unseen_map.data.any() for sample in samples)

    def test_training_crops(self, cfg: Config) -> None:
        dataset = DATASETS.build(cfg.train_dataloader.dataset)
        assert stems(dataset) == ["2011_000003", "2011_000025"]
        for item in (dataset[0], dataset[1]):
            assert item["inputs"].shape[0] == 3 and max(item["inputs"].shape[1:]) <= 512
            assert item["inputs"].shape[1:] == item["data_samples"].gt_sem_seg.data.shape[1:]

    def test_evaluation_shows_all_labels_at_their_own_size(self, cfg: Config) -> None:
        item = DATASETS.build(cfg.val_dataloader.dataset)[0]
        label = item["data_samples"].gt_sem_seg.data
        assert item["inputs"].shape[1:] == (512, 683) and label.shape == (1, 375, 500)
        assert set(label.unique().tolist()) == {8, 14, 17, 255}

    @pytest.mark.parametrize(
        "size", [(333, 500), (500, 333), (500, 500), (97, 500), (60, 480), (1024, 683), (511, 513)]
    )
    def test_shorter_side_is_512(self, cfg: Config, size: tuple[int, int], tmp_path: Path) -> None:
        height, width = size
        for folder, suffix, mode in (
            ("JPEGImages", "jpg", "RGB"),
            ("SegmentationClass", "png", "L"),
        ):
            (tmp_path / folder).mkdir()
            Image.new(mode, (width, height)).save(tmp_path / folder / f"odd.{suffix}")
        (tmp_path / LISTS).mkdir(parents=True)
        (tmp_path / LISTS / "val.txt").write_text("odd\n")
        item = DATASETS.build(with_root(cfg, tmp_path).val_dataloader.dataset)[0]
        shape = item["inputs"].shape[1:]
        assert min(shape) == 512
        assert abs(max(shape) - 512 * max(size) / min(size)) < 1
        assert item["data_samples"].gt_sem_seg.data.shape == (1, *size)

    def test_three_line_split(self, configs: Path, voc_root: str, tmp_path: Path) -> None:
        (tmp_path / "mine.py").write_text(
            f"_base_ = '{configs / 'tagclip_voc_inductive.py'}'\n"
            "unseen = ['person', 'bus']\n"
            "train_dataloader = val_dataloader = test_dataloader = "
            "dict(dataset=dict(unseen=unseen))\n"
        )
        cfg = Config.fromfile(tmp_path / "mine.py", import_custom_modules=False)
        cfg = with_root(cfg, voc_root)
        datasets = [DATASETS.build(cfg[f"{mode}_dataloader"].dataset) for mode in MODES]
        assert [d.metainfo["unseen"] for d in datasets] == [("bus", "person")] * 3
        np.random.seed(0)
        labels = [datasets[0][i % 2]["data_samples"].gt_sem_seg.data.unique() for i in range(12)]
        seen = set(np.concatenate(labels).tolist())
        # The photographs hold bottle and person, bus and car.
        assert seen <= {4, 6, 255} and seen & {4, 6}

    def test_built_from_any_folder(
        self, cfg: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        options = cfg.val_dataloader.dataset
        options.data_root = "tests/data/voc_sample/VOCdevkit/VOC2012"
        assert DATASETS.build(options)[0]["inputs"].shape[0] == 3


MODES = ("train", "val", "test")


def with_root(cfg: Config, root: str | Path) -> Config:
    for mode in MODES:
        cfg[f"{mode}_dataloader"].dataset.data_root = str(root)
    return cfg
