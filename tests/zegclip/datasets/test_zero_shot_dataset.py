"""The split in the metainfo, the lists, what is missing, and VOC's config on generated images."""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mmengine.config import Config
from mmseg.registry import DATASETS
from PIL import Image

from zegclip.datasets import (
    ADE150Dataset,
    COCOStuff171Dataset,
    Context59Dataset,
    Context60Dataset,
    VOC20Dataset,
    VOC21Dataset,
    Vocabulary,
    ZeroShotDataset,
)
from zegclip.datasets import base as base_module
from zegclip.errors import InputError

LISTS = "ImageSets/Segmentation"
FOLDERS = dict(img_path="JPEGImages", seg_map_path="SegmentationClassAug")


def voc(root: str | Path, *lists: str, **changes: Any) -> VOC20Dataset:
    options = dict(
        data_root=str(root), data_prefix=FOLDERS, ann_file=[f"{LISTS}/{name}" for name in lists]
    )
    return VOC20Dataset(**{**options, **changes})


def stems(dataset: ZeroShotDataset) -> list[str]:
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


class TestBenchmarks:
    @pytest.mark.parametrize(
        ("dataset", "classes", "unseen"),
        [
            (VOC20Dataset, 20, 5),
            (VOC21Dataset, 21, 5),
            (COCOStuff171Dataset, 171, 15),
            (Context59Dataset, 59, 10),
            (Context60Dataset, 60, 10),
            (ADE150Dataset, 150, 0),
        ],
    )
    def test_split_fits_the_classes(
        self, dataset: type[ZeroShotDataset], classes: int, unseen: int
    ) -> None:
        vocabulary = Vocabulary.from_metainfo(dataset.METAINFO)
        assert len(vocabulary.classes) == classes and len(vocabulary.unseen) == unseen
        assert vocabulary.palette is not None
        assert str(classes) in dataset.METAINFO["dataset_name"]
        assert all(name == name.strip() for name in vocabulary.classes)
        background = classes in (21, 60)
        assert ("background" in vocabulary.seen) == background
        assert ("is a class" in dataset.METAINFO["ignore_rule"]) == background
        assert dataset.DEFAULTS.get("reduce_zero_label", False) == (classes in (20, 59, 150))
        assert dataset.PREPARE.startswith("python tools/prepare_dataset.py")

    def test_label_ids_of_the_splits(self) -> None:
        """Some by hand, in the order of mmseg's masks."""
        coco = Vocabulary.from_metainfo(COCOStuff171Dataset.METAINFO)
        assert [coco.classes[index] for index in (0, 19, 79, 170)] == [
            "person", "cow", "toothbrush", "wood",
        ]  # fmt: skip
        assert coco.unseen_ids[:3] == (19, 23, 28)
        # The published index list of a work that shares this order.
        context = Vocabulary.from_metainfo(Context59Dataset.METAINFO)
        assert set(context.unseen_ids) == {19, 33, 48, 14, 7, 24, 6, 54, 31, 0}


class TestMetainfo:
    def test_defaults_and_the_masks_own_palette(self, voc_root: str) -> None:
        dataset = voc(voc_root, "val.txt")
        meta = dataset.metainfo
        assert meta["unseen"] == ("pottedplant", "sheep", "sofa", "train", "tvmonitor")
        assert meta["setting"] == "inductive" and "background" in meta["ignore_rule"]
        assert meta["synonyms"]["tvmonitor"] == ("tv monitor",)
        with Image.open(dataset.get_data_info(0)["seg_map_path"]) as mask:
            colours = np.array(mask.getpalette()).reshape(-1, 3)[1:21]
        np.testing.assert_array_equal(meta["palette"], colours)

    def test_words_of_the_config(self, voc_root: str) -> None:
        words = dict(unseen=["dog", "cat"], setting="transductive", synonyms={"dog": ["hound"]})
        dataset = voc(voc_root, "val.txt", **words)
        meta, info = dataset.metainfo, dataset.get_data_info(0)
        assert meta["unseen"] == ("cat", "dog") and meta["synonyms"] == {"dog": ("hound",)}
        assert info["unseen_label_ids"] == [7, 11] and info["setting"] == "transductive"
        assert info["num_classes"] == 20 and info["reduce_zero_label"] is True
        # The same without the files.
        vocabulary = VOC20Dataset.vocabulary_of({"data_root": "nowhere", **words})
        assert (vocabulary.unseen, vocabulary.setting) == (meta["unseen"], meta["setting"])

    def test_texts_are_not_taken_for_files_but_for_classes(
        self, tree: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tree)
        for name in ("inductive", "mine"):
            Path(name).write_text("what mmengine would read\n")
        Path("names.txt").write_text("thing\nstuff\n")
        meta = dict(dataset_name="mine", classes="names.txt")
        dataset = ZeroShotDataset(data_prefix=FOLDERS, metainfo=meta, reduce_zero_label=True)
        assert dataset.metainfo["dataset_name"] == "mine" and len(dataset) == 6
        assert (
            len(ZeroShotDataset(data_root="../" + tree.name, data_prefix=FOLDERS, metainfo=meta))
            == 6
        )
        assert dataset.metainfo["classes"] == ("thing", "stuff")
        assert dataset.metainfo["ignore_rule"] == "labels 0 and 255 ignored"

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
    def test_errors(self, changes: dict, message: str) -> None:
        with pytest.raises(InputError, match=message):
            voc("nowhere", "val.txt", **changes)

    @pytest.mark.parametrize(("count", "zero_ignored"), [(256, False), (255, True), (847, False)])
    def test_more_classes_than_8_bit_masks_hold_are_refused(
        self, tree: Path, count: int, zero_ignored: bool
    ) -> None:
        """Of 256 classes the last would be label 255, "ignored"."""

        def build(count: int, **prefix: str) -> ZeroShotDataset:
            return ZeroShotDataset(
                data_root=str(tree),
                data_prefix=prefix,
                metainfo=dict(classes=[f"class {i}" for i in range(count)]),
                reduce_zero_label=zero_ignored,
            )

        with pytest.raises(InputError, match=rf"{count} classes, .* 255 is ignored, can hold 25"):
            build(count, **FOLDERS)
        assert len(build(255 - zero_ignored, **FOLDERS)) == 6
        assert len(build(count, img_path="JPEGImages")) == 6  # words for images without masks


class TestLists:
    def test_several_lists_each_image_once(self, tree: Path) -> None:
        assert stems(voc(tree, "train.txt", "aug.txt")) == ["a", "b", "c", "d"]
        assert stems(voc(tree, "val.txt")) == ["e", "f"]

    def test_validation_images_are_left_out_of_training_and_said(
        self, tree: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        said: list[tuple] = []
        monkeypatch.setattr(base_module, "print_log", lambda *args: said.append(args))
        (tree / LISTS / "sbd.txt").write_text("a\nf\nc\ne\n")
        assert stems(voc(tree, "sbd.txt")) == ["a", "c"]
        ((text, _, level),) = said
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

    def test_images_in_subfolders_of_several_suffixes(self, tmp_path: Path) -> None:
        for file in ("img/train/a.jpg", "img/b.PNG", "ann/train/a.png", "ann/b.png"):
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file).touch()
        options = dict(
            data_root=str(tmp_path),
            data_prefix=dict(img_path="img", seg_map_path="ann"),
            metainfo=dict(classes=("thing",)),
            img_suffix=[".jpg", ".png"],
        )
        dataset = ZeroShotDataset(**options)
        infos = [dataset.get_data_info(i) for i in range(len(dataset))]
        assert [(info["img_path"], info["seg_map_path"]) for info in infos] == [
            (f"{tmp_path}/img/b.PNG", f"{tmp_path}/ann/b.png"),
            (f"{tmp_path}/img/train/a.jpg", f"{tmp_path}/ann/train/a.png"),
        ]
        (tmp_path / "ann" / "b.png").unlink()
        with pytest.raises(InputError, match=r"1 of 2 images have no mask .*: b\.png"):
            ZeroShotDataset(**options)

    def test_each_folder_is_listed_once(self, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        listed: list[str] = []
        listdir = os.listdir
        monkeypatch.setattr(os, "listdir", lambda path: listed.append(path) or listdir(path))
        voc(tree, "train.txt", "aug.txt")
        assert sorted(Path(path).name for path in listed) == ["JPEGImages", "SegmentationClassAug"]


class TestMissing:
    @pytest.mark.parametrize(
        ("gone", "message"),
        [
            (".", r"there is no \S*data\. `python tools/prepare_dataset\.py voc .*set data_root"),
            (f"{LISTS}/train.txt", r"there is no \S*train\.txt"),
            ("SegmentationClassAug", r"there is no \S*SegmentationClassAug"),
        ],
    )
    def test_folders_and_lists(self, tree: Path, gone: str, message: str) -> None:
        root = tree / "data"
        root.mkdir()
        for part in ("JPEGImages", "SegmentationClassAug", "ImageSets"):
            shutil.move(tree / part, root / part)
        config = dict(data_root=str(root), data_prefix=FOLDERS, ann_file=f"{LISTS}/train.txt")
        assert VOC20Dataset.missing(config) == []
        (root / gone).unlink() if gone.endswith("txt") else shutil.rmtree(root / gone)
        assert VOC20Dataset.missing(config) == [str(root / gone)]
        with pytest.raises(InputError, match=message):
            voc(root, "train.txt")

    def test_first_files_are_named_and_the_rest_counted(self, tree: Path) -> None:
        names = [f"x{i}" for i in range(8)]
        (tree / LISTS / "aug.txt").write_text("\n".join(["c", *names]))
        message = r"8 of 9 images named by .*aug\.txt.*: x0\.jpg.*x4\.jpg and 3 more"
        with pytest.raises(InputError, match=message):
            voc(tree, "aug.txt")
        (tree / "SegmentationClassAug" / "b.png").unlink()
        with pytest.raises(InputError, match=r"1 of 2 images .*have no mask in .*: b\.png"):
            voc(tree, "train.txt")
        (tree / LISTS / "train.txt").write_text("\n")
        with pytest.raises(InputError, match=r"no image is named in .*train\.txt"):
            voc(tree, "train.txt")


class TestConfig:
    """configs/_base_/datasets/voc12_20.py on images in VOC's layout."""

    @pytest.fixture
    def cfg(self, configs: Path, voc_root: str) -> Config:
        return with_root(Config.fromfile(configs / "_base_" / "datasets" / "voc12_20.py"), voc_root)

    @pytest.mark.parametrize("setting", ["inductive", "transductive", "supervised"])
    def test_no_unseen_label_id_leaves_the_training_pipeline(
        self, cfg: Config, setting: str
    ) -> None:
        options = cfg.train_dataloader.dataset
        options.update(ann_file=f"{LISTS}/val.txt", setting=setting)  # the image with a sofa
        dataset = DATASETS.build(options)
        unseen_ids = dataset.get_data_info(0)["unseen_label_ids"]
        np.random.seed(0)
        samples = [dataset[0]["data_samples"] for _ in range(8)]
        leaked = [np.isin(s.gt_sem_seg.data.numpy(), unseen_ids).any() for s in samples]
        kept = ["gt_unseen_map" in sample for sample in samples]
        assert any(leaked) == (setting == "supervised")
        assert kept == [setting == "transductive"] * 8
        if setting == "transductive":
            assert any(sample.gt_unseen_map.data.any() for sample in samples)

    def test_training_crops_and_evaluation_at_the_labels_own_size(self, cfg: Config) -> None:
        dataset = DATASETS.build(cfg.train_dataloader.dataset)
        assert stems(dataset) == ["2011_000003", "2011_000025"]
        item = dataset[0]
        assert item["inputs"].shape[0] == 3 and max(item["inputs"].shape[1:]) <= 512
        assert item["inputs"].shape[1:] == item["data_samples"].gt_sem_seg.data.shape[1:]
        item = DATASETS.build(cfg.val_dataloader.dataset)[0]
        labels = item["data_samples"].gt_sem_seg.data
        assert item["inputs"].shape[1:] == (512, 683) and labels.shape == (1, 375, 500)
        assert set(labels.unique().tolist()) == {8, 14, 17, 255}

    @pytest.mark.parametrize("size", [(333, 500), (500, 333), (97, 500), (1024, 683), (511, 513)])
    def test_shorter_side_is_512(self, cfg: Config, size: tuple[int, int], tmp_path: Path) -> None:
        folders = (("JPEGImages", "jpg", "RGB"), ("SegmentationClass", "png", "L"))
        for folder, suffix, mode in folders:
            (tmp_path / folder).mkdir()
            Image.new(mode, size[::-1]).save(tmp_path / folder / f"odd.{suffix}")
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
        assert seen <= {4, 6, 255} and seen & {4, 6}  # bottle and car, not person and bus


MODES = ("train", "val", "test")


def with_root(cfg: Config, root: str | Path) -> Config:
    for mode in MODES:
        cfg[f"{mode}_dataloader"].dataset.data_root = str(root)
    return cfg
