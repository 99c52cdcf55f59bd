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
from mmseg.registry import DATASETS, TRANSFORMS

from zegclip.datasets import (
    ADE150Dataset,
    COCOStuff171Dataset,
    Context59Dataset,
    Context60Dataset,
    MiniSceneDataset,
    VOC20Dataset,
    VOC21Dataset,
    ZeroShotDataset,
)
from zegclip.datasets import base as base_module
from zegclip.errors import InputError
from zegclip.vocabulary import Vocabulary

CONFIGS = Path(__file__).parents[3] / "configs"
LISTS = "ImageSets/Segmentation"
FOLDERS = dict(img_path="JPEGImages", seg_map_path="SegmentationClassAug")


def voc20(root: str | Path, *lists: str, **changes: Any) -> VOC20Dataset:
    options = dict(
        data_root=str(root), data_prefix=FOLDERS, ann_file=[f"{LISTS}/{name}" for name in lists]
    )
    return VOC20Dataset(**{**options, **changes})


def infos(dataset: ZeroShotDataset) -> list[dict[str, Any]]:
    return [dataset.get_data_info(index) for index in range(len(dataset))]


def stems(dataset: ZeroShotDataset) -> list[str]:
    return [Path(info["img_path"]).stem for info in infos(dataset)]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """VOC's layout with six empty files of each kind, a-d for training, e and f for validation."""
    root = tmp_path / "data"
    for folder, suffix in ((FOLDERS["img_path"], "jpg"), (FOLDERS["seg_map_path"], "png")):
        (root / folder).mkdir(parents=True)
        for name in "abcdef":
            (root / folder / f"{name}.{suffix}").touch()
    (root / LISTS).mkdir(parents=True)
    for name, images in (("train", "ab"), ("aug", "bcd"), ("val", "ef")):
        (root / LISTS / f"{name}.txt").write_text("\n".join(images) + "\n\n")
    return root


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
def test_benchmarks(dataset: type[ZeroShotDataset], classes: int, unseen: int) -> None:
    vocabulary = Vocabulary.from_metainfo(dataset.METAINFO)
    assert len(vocabulary.classes) == classes and len(vocabulary.unseen) == unseen
    assert vocabulary.palette is not None
    assert all(name == name.strip() for name in vocabulary.classes)
    background = classes in (21, 60)
    assert ("background" in vocabulary.seen) == background
    assert ("is a class" in dataset.METAINFO["ignore_rule"]) == background
    assert dataset.DEFAULTS.get("reduce_zero_label", False) == (classes in (20, 59, 150))


def test_label_ids_of_the_splits() -> None:
    """By hand, in the order of mmseg's masks; COCO-Stuff's 15 names are those of SPNet."""
    coco = Vocabulary.from_metainfo(COCOStuff171Dataset.METAINFO)
    assert [coco.classes[i] for i in (0, 19, 79, 170)] == ["person", "cow", "toothbrush", "wood"]
    assert dict(zip(coco.unseen_ids, coco.unseen, strict=True)) == {
        19: "cow", 23: "giraffe", 28: "suitcase", 29: "frisbee", 36: "skateboard", 51: "carrot",
        76: "scissors", 88: "cardboard", 94: "clouds", 112: "grass", 133: "playingfield",
        136: "river", 137: "road", 157: "tree", 160: "wall-concrete",
    }  # fmt: skip
    # The published index list of a work that shares this order.
    context = Vocabulary.from_metainfo(Context59Dataset.METAINFO)
    assert set(context.unseen_ids) == {19, 33, 48, 14, 7, 24, 6, 54, 31, 0}


class TestMetainfo:
    def test_words_of_the_config(self, voc: Path) -> None:
        assert voc20(voc, "val.txt").metainfo["synonyms"] == {}  # published: names as they are
        words = dict(unseen=["dog", "cat"], setting="transductive", synonyms={"dog": ["hound"]})
        dataset = voc20(voc, "val.txt", **words)
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
        meta = dict(dataset_name="mine", classes="names.txt", licence="kept as it is")
        dataset = ZeroShotDataset(data_prefix=FOLDERS, metainfo=meta, reduce_zero_label=True)
        assert dataset.metainfo["dataset_name"] == "mine" and len(dataset) == 6
        assert dataset.metainfo["licence"] == "kept as it is"
        assert dataset.metainfo["classes"] == ("thing", "stuff")
        assert dataset.metainfo["ignore_rule"] == "labels 0 and 255 ignored"

    def test_selected_classes(self, voc: Path) -> None:
        dataset = voc20(voc, "val.txt", metainfo=dict(classes=("sofa", "chair", "person")))
        assert dataset.metainfo["unseen"] == ("sofa",)
        some = MiniSceneDataset.vocabulary_of(dict(metainfo=dict(classes=("cat", "tvmonitor"))))
        assert some.synonyms == {"tvmonitor": ("tv monitor",)}
        info = dataset.get_data_info(0)
        assert info["unseen_label_ids"] == [0] and info["num_classes"] == 20
        assert info["label_map"][17] == 0 and info["label_map"][0] == 255

    def test_splits_that_do_not_fit(self) -> None:
        with pytest.raises(InputError, match="unseen names no class: 'sofas'.*'sofa'"):
            voc20("nowhere", unseen=["sofas"])
        with pytest.raises(InputError, match="unseen is empty.*setting='supervised'"):
            voc20("nowhere", unseen=[])

    def test_a_class_of_a_benchmark_keeps_its_name(self) -> None:
        classes = ("sofas", *VOC20Dataset.METAINFO["classes"][1:])
        with pytest.raises(InputError, match="no class 'sofas' .*'sofa'.* set synonyms="):
            VOC20Dataset.vocabulary_of(dict(metainfo=dict(classes=classes)))

    @pytest.mark.parametrize(("count", "zero_ignored"), [(256, False), (255, True), (847, False)])
    def test_more_classes_than_8_bit_masks_hold_are_refused(
        self, tree: Path, count: int, zero_ignored: bool
    ) -> None:
        """Of 256 classes the last would be label 255, "ignored"."""

        def build(count: int, **prefix: str) -> ZeroShotDataset:
            meta = dict(classes=[f"class {i}" for i in range(count)])
            options = dict(metainfo=meta, reduce_zero_label=zero_ignored)
            return ZeroShotDataset(data_root=str(tree), data_prefix=prefix, **options)

        with pytest.raises(InputError, match=rf"{count} classes, .* 255 is ignored, can hold 25"):
            build(count, **FOLDERS)
        assert len(build(255 - zero_ignored, **FOLDERS)) == 6
        assert len(build(count, img_path="JPEGImages")) == 6  # words for images without masks

    def test_background_among_the_classes_of_masks_whose_0_is_ignored(self, tree: Path) -> None:
        for name in ("Background", "_background_", "BG", "un-labelled", "__ignore__"):
            meta = dict(classes=(name, "cat"))
            options = dict(data_root=str(tree), data_prefix=FOLDERS, metainfo=meta)
            with pytest.raises(InputError, match=f"'{name}' would be the name of label 1"):
                ZeroShotDataset(reduce_zero_label=True, **options)
            assert len(ZeroShotDataset(**options)) == 6


class TestFiles:
    def test_texts_from_windows(self, tree: Path) -> None:
        """Byte-order marks and line ends, in lists of images, held-out images and classes."""
        for name, lines in (("train", "a\r\nb\r\ne\r\n"), ("val", "e\r\nf\r\n")):
            (tree / LISTS / f"{name}.txt").write_bytes(b"\xef\xbb\xbf" + lines.encode())
        assert stems(voc20(tree, "train.txt")) == ["a", "b"]
        (tree / "names.txt").write_bytes("\ufeffkatze\r\ntür\r\n".encode())
        meta = dict(classes=str(tree / "names.txt"))
        assert ZeroShotDataset._with_split(meta, None, None, None)["classes"] == ("katze", "tür")
        (tree / "names.txt").write_bytes("tür".encode("cp1252"))
        with pytest.raises(InputError, match=r"names\.txt is not UTF-8"):
            ZeroShotDataset._with_split(meta, None, None, None)

    def test_several_lists_each_image_once_and_each_folder_listed_once(
        self, tree: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        listed: list[str] = []
        listdir = os.listdir
        monkeypatch.setattr(os, "listdir", lambda path: listed.append(path) or listdir(path))
        assert stems(voc20(tree, "train.txt", "aug.txt")) == ["a", "b", "c", "d"]
        assert sorted(Path(path).name for path in listed) == ["JPEGImages", "SegmentationClassAug"]
        assert stems(voc20(tree, "val.txt")) == ["e", "f"]

    @pytest.mark.parametrize("listed", [True, False])
    def test_validation_images_are_left_out_of_training_and_said(
        self, tree: Path, monkeypatch: pytest.MonkeyPatch, listed: bool
    ) -> None:
        said: list[tuple] = []
        monkeypatch.setattr(base_module, "print_log", lambda *args: said.append(args))
        (tree / LISTS / "sbd.txt").write_text("a\nb\nf\nc\nd\ne\n")
        dataset = voc20(tree, "sbd.txt") if listed else voc20(tree)  # all of the folder
        assert stems(dataset) == ["a", "b", "c", "d"]
        ((text, _, level),) = said
        assert level == logging.WARNING and "2 of the 6 images" in text
        assert ("sbd.txt" if listed else "JPEGImages") in text

    def test_masks_whose_image_has_another_suffix_are_said(
        self, tree: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        said: list[str] = []
        monkeypatch.setattr(base_module, "print_log", lambda text, *_: said.append(text))
        options = dict(data_root=str(tree), data_prefix=FOLDERS, metainfo=dict(classes=["thing"]))
        assert len(ZeroShotDataset(**options)) == 6 and said == []
        (tree / "JPEGImages/b.jpg").rename(tree / "JPEGImages/b.tif")
        (tree / "JPEGImages/d.jpg").unlink()
        (tree / "SegmentationClassAug/._x.png").touch()
        assert len(ZeroShotDataset(**options)) == 4
        (text,) = said
        assert "2 masks in" in text and text.endswith("(img_suffix: .jpg), and are not used: b, d")
        assert len(ZeroShotDataset(**options, img_suffix=[".jpg", ".tif"])) == 5
        assert "1 masks in" in said[1] and "(img_suffix: .jpg, .tif)" in said[1]
        # A list says itself which images count, and held-out images have no other suffix.
        assert stems(voc20(tree, "val.txt")) == ["e", "f"] and len(said) == 2
        (tree / "SegmentationClassAug/d.png").unlink()
        assert len(voc20(tree, img_suffix=[".jpg", ".tif"])) == 3
        assert len(said) == 3 and "2 of the 5 images" in said[2]

    def test_a_list_of_validation_images_alone_is_an_error_unless_meant(self, tree: Path) -> None:
        (tree / LISTS / "few.txt").write_text("f\n")
        with pytest.raises(InputError, match=r"few\.txt .*held_out_file=None"):
            voc20(tree, "few.txt")
        assert stems(voc20(tree, "few.txt", held_out_file=None)) == ["f"]
        assert stems(voc20(tree, "few.txt", test_mode=True)) == ["f"]
        assert stems(voc20(tree, "train.txt", "val.txt")) == ["a", "b", "e", "f"]

    def test_masks_of_both_folders(self, tree: Path) -> None:
        """Some trees keep VOC's own masks apart from SBD's."""
        (tree / "SegmentationClass").mkdir()
        for name in "abef":
            shutil.move(tree / "SegmentationClassAug" / f"{name}.png", tree / "SegmentationClass")
        masks = [info["seg_map_path"] for info in infos(voc20(tree, "train.txt", "aug.txt"))]
        folders = [Path(mask).parent.name for mask in masks]
        assert folders == ["SegmentationClass"] * 2 + ["SegmentationClassAug"] * 2

    def test_a_devkit_without_sbd(self, tree: Path) -> None:
        (tree / "SegmentationClassAug").rename(tree / "SegmentationClass")
        config = dict(data_root=str(tree), data_prefix=FOLDERS, ann_file=f"{LISTS}/train.txt")
        assert VOC20Dataset.missing(config) == []
        masks = [info["seg_map_path"] for info in infos(voc20(tree, "train.txt"))]
        assert masks == [f"{tree}/SegmentationClass/{name}.png" for name in "ab"]

    def test_images_in_subfolders_of_several_suffixes(self, tmp_path: Path) -> None:
        masks = ("ann/train/a.png", "ann/b.png", "ann/c.png")
        for file in ("img/train/a.jpg", "img/b.PNG", "img/c.Jpg", *masks):
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file).touch()
        dataset = ZeroShotDataset(
            data_root=str(tmp_path),
            data_prefix=dict(img_path="img", seg_map_path="ann"),
            metainfo=dict(classes=("thing",)),
            img_suffix=[".jpg", ".png"],
        )
        assert [(info["img_path"], info["seg_map_path"]) for info in infos(dataset)] == [
            (f"{tmp_path}/img/b.PNG", f"{tmp_path}/ann/b.png"),
            (f"{tmp_path}/img/c.Jpg", f"{tmp_path}/ann/c.png"),
            (f"{tmp_path}/img/train/a.jpg", f"{tmp_path}/ann/train/a.png"),
        ]

    @pytest.mark.parametrize(
        ("gone", "message"),
        [
            (".", r"there is no \S*data\. `python tools/prepare_dataset\.py voc .*set data_root"),
            (f"{LISTS}/train.txt", r"there is no \S*train\.txt"),
            ("SegmentationClassAug", r"there is no \S*SegmentationClassAug"),
        ],
    )
    def test_missing_folders_and_lists(self, tree: Path, gone: str, message: str) -> None:
        config = dict(data_root=str(tree), data_prefix=FOLDERS, ann_file=f"{LISTS}/train.txt")
        assert VOC20Dataset.missing(config) == []
        (tree / gone).unlink() if gone.endswith("txt") else shutil.rmtree(tree / gone)
        assert VOC20Dataset.missing(config) == [str(tree / gone)]
        with pytest.raises(InputError, match=message):
            voc20(tree, "train.txt")

    def test_without_masks(self, tree: Path) -> None:
        folders = FOLDERS | {"seg_map_path": None}
        config = dict(data_root=str(tree), data_prefix=folders, ann_file=f"{LISTS}/train.txt")
        assert VOC20Dataset.missing(config) == []
        assert "seg_map_path" not in VOC20Dataset(**config, pipeline=[]).get_data_info(0)

    def test_first_missing_files_are_named_and_the_rest_counted(self, tree: Path) -> None:
        names = [f"x{i}" for i in range(8)]
        (tree / LISTS / "aug.txt").write_text("\n".join(["c", *names]))
        message = r"8 of 9 images named by .*aug\.txt.*: x0\.jpg.*x4\.jpg and 3 more"
        with pytest.raises(InputError, match=message):
            voc20(tree, "aug.txt")
        (tree / "SegmentationClassAug" / "b.png").unlink()
        with pytest.raises(InputError, match=r"1 of 2 images .*have no mask in .*: b\.png"):
            voc20(tree, "train.txt")
        (tree / LISTS / "train.txt").write_text("\n")
        with pytest.raises(InputError, match=r"no image is named in .*train\.txt"):
            voc20(tree, "train.txt")


class TestConfig:
    """configs/_base_/datasets/voc12_20.py on images in VOC's layout."""

    @pytest.fixture
    def cfg(self, voc: Path) -> Config:
        return with_root(Config.fromfile(CONFIGS / "_base_" / "datasets" / "voc12_20.py"), voc)

    @pytest.mark.parametrize("setting", ["inductive", "transductive", "supervised"])
    def test_no_unseen_label_id_leaves_the_training_pipeline(
        self, cfg: Config, setting: str
    ) -> None:
        options = cfg.train_dataloader.dataset
        options.update(setting=setting)
        dataset = DATASETS.build(options)
        unseen_ids = dataset.get_data_info(0)["unseen_label_ids"]
        np.random.seed(0)
        samples = [dataset[0]["data_samples"] for _ in range(6)]
        leaked = [np.isin(s.gt_sem_seg.data.numpy(), unseen_ids).any() for s in samples]
        kept = ["gt_unseen_map" in sample for sample in samples]
        assert any(leaked) == (setting == "supervised")
        assert kept == [setting == "transductive"] * 6
        if setting == "transductive":
            assert any(sample.gt_unseen_map.data.any() for sample in samples)

    @pytest.mark.parametrize("name", ["voc12_20", "voc12_21"])
    def test_vocs_own_masks_where_both_folders_have_one(self, name: str, tree: Path) -> None:
        """As in mmseg's trees, where SegmentationClassAug holds SBD's masks of VOC's images too."""
        (tree / "SegmentationClass").mkdir()
        for image in "abef":
            (tree / "SegmentationClass" / f"{image}.png").touch()
        cfg = with_root(Config.fromfile(CONFIGS / "_base_" / "datasets" / f"{name}.py"), tree)
        used = {
            mode: [
                Path(info["seg_map_path"]).relative_to(tree).as_posix()
                for info in infos(DATASETS.build(cfg[f"{mode}_dataloader"].dataset))
            ]
            for mode in ("train", "val")
        }
        assert used["train"] == [
            "SegmentationClass/a.png",
            "SegmentationClass/b.png",
            "SegmentationClassAug/c.png",
            "SegmentationClassAug/d.png",
        ]
        assert used["val"] == ["SegmentationClass/e.png", "SegmentationClass/f.png"]

    def test_training_crops_and_evaluation_at_the_labels_own_size(self, cfg: Config) -> None:
        dataset = DATASETS.build(cfg.train_dataloader.dataset)
        assert stems(dataset) == ["2007_000032", "2008_000002"]
        assert max(dataset[0]["inputs"].shape) <= 512
        item = DATASETS.build(cfg.val_dataloader.dataset)[0]
        labels = item["data_samples"].gt_sem_seg.data
        assert item["inputs"].shape[1:] == (512, 717) and labels.shape == (1, 80, 112)
        assert set(labels.unique().tolist()) == {0, 14, 16, 18, 255}

    @pytest.mark.parametrize("size", [(500, 333), (97, 500), (1024, 683), (511, 513)])
    def test_shorter_side_is_512(self, cfg: Config, size: tuple[int, int]) -> None:
        step = TRANSFORMS.build(cfg.test_pipeline[1])
        shape = step({"img": np.zeros((*size, 3), np.uint8)})["img"].shape[:2]
        assert min(shape) == 512
        assert abs(max(shape) - 512 * max(size) / min(size)) < 1

    def test_three_line_split(self, voc: Path, tmp_path: Path) -> None:
        (tmp_path / "mine.py").write_text(
            f"_base_ = '{CONFIGS / 'tagclip_voc_inductive.py'}'\n"
            "unseen = ['person', 'aeroplane']\n"
            "train_dataloader = val_dataloader = test_dataloader = "
            "dict(dataset=dict(unseen=unseen))\n"
        )
        cfg = with_root(Config.fromfile(tmp_path / "mine.py", import_custom_modules=False), voc)
        datasets = [DATASETS.build(cfg[f"{mode}_dataloader"].dataset) for mode in MODES]
        assert [d.metainfo["unseen"] for d in datasets] == [("aeroplane", "person")] * 3
        np.random.seed(0)
        labels = [datasets[0][i % 2]["data_samples"].gt_sem_seg.data.unique() for i in range(6)]
        seen = set(np.concatenate(labels).tolist())
        assert seen <= {16, 18, 255} and seen & {16, 18}  # sheep and train


MODES = ("train", "val", "test")


def with_root(cfg: Config, root: str | Path) -> Config:
    for mode in MODES:
        cfg[f"{mode}_dataloader"].dataset.data_root = str(root)
    return cfg
