"""What is missing is said before work starts, all at once, with the way to get it."""

from __future__ import annotations

from pathlib import Path

import pytest
from mmengine.config import Config

from zegclip.engine.preflight import MissingData, find_missing_data, preflight
from zegclip.errors import InputError


def voc(root: str, split: str) -> dict:
    return dict(
        dataset=dict(
            type="VOCDataset",
            data_root=root,
            data_prefix=dict(img_path="JPEGImages", seg_map_path="SegmentationClass"),
            ann_file=f"ImageSets/{split}.txt",
        )
    )


@pytest.fixture
def clip_message(monkeypatch: pytest.MonkeyPatch) -> None:
    def check_clip(model_name: str, weights: str) -> str | None:
        return None if weights == "random" else f"{weights} for {model_name}: put it there"

    monkeypatch.setattr("zegclip.clip.towers.check_clip", check_clip)


def make_voc(root: Path, *splits: str) -> None:
    for name in ("JPEGImages", "SegmentationClass", "ImageSets"):
        (root / name).mkdir(parents=True)
    for split in splits:
        (root / "ImageSets" / f"{split}.txt").touch()


@pytest.mark.usefixtures("clip_message")
def test_everything_missing_is_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    cfg = Config(
        dict(
            model=dict(clip=dict(model_name="ViT-B-16", weights="data/clip/x.pt")),
            train_dataloader=voc("data/VOC2012", "train"),
            val_dataloader=voc("data/VOC2012", "val"),
            load_from="iter_9.pth",
        )
    )
    with pytest.raises(InputError) as error:
        preflight(cfg)
    message = str(error.value)
    assert "3 things are missing" in message
    assert "data/clip/x.pt for ViT-B-16: put it there" in message
    assert "iter_9.pth does not exist" in message
    assert message.count("data/VOC2012 does not exist") == 1  # once for both splits
    assert "VOCDataset (train, val)" in message
    assert "-o data/archives/VOCtrainval_11-May-2012.tar http" in message
    assert "-o data/archives/benchmark.tgz http" in message
    assert "prepare_dataset.py voc --archives data/archives --out data" in message
    assert isinstance(error.value, SystemExit)  # ends a script with this message


@pytest.mark.usefixtures("clip_message")
def test_nothing_missing(tmp_path: Path) -> None:
    make_voc(tmp_path, "train")
    cfg = dict(
        model=dict(clip=dict(model_name="tiny.json", weights="random")),
        train_dataloader=voc(str(tmp_path), "train"),
        val_dataloader=voc("nowhere", "val"),
    )
    preflight(cfg, modes=["train"])
    with pytest.raises(InputError, match="nowhere does not exist"):
        preflight(cfg, modes=["train", "val"])


def test_parts_of_a_data_set_are_named(tmp_path: Path) -> None:
    make_voc(tmp_path, "val")
    (tmp_path / "SegmentationClass").rmdir()
    loaders = {f"{split}_dataloader": voc(str(tmp_path), split) for split in ("train", "val")}
    (missing,) = find_missing_data(loaders)
    assert missing.used_by == ["train", "val"]
    assert missing.parts == ["SegmentationClass", "ImageSets/train.txt"]


@pytest.mark.parametrize(
    ("name", "root", "key", "archive"),
    [
        ("VOC20Dataset", "data/VOCdevkit/VOC2012", "voc", "benchmark.tgz"),
        ("VOC21Dataset", "/big/pascal", "voc", "VOCtrainval_11-May-2012.tar"),
        ("Context59Dataset", "data/VOCdevkit/VOC2010", "context", "VOCtrainval_03-May-2010.tar"),
        ("Context60Dataset", "data/VOCdevkit/VOC2010", "context", "trainval_merged.json"),
        ("COCOStuff171Dataset", "data/coco_stuff164k", "coco_stuff", "train2017.zip"),
        ("ADE150Dataset", "data/ade/ADEChallengeData2016", "ade", "ADEChallengeData2016.zip"),
    ],
)
def test_each_data_set_has_its_own_commands(name: str, root: str, key: str, archive: str) -> None:
    text = MissingData(name, Path(root)).how_to_get()
    assert text.startswith("Put it there, or point the config's data_root to where it is.\n")
    assert f"-o data/archives/{archive} http" in text
    assert text.count("python tools/prepare_dataset.py") == 1
    assert f"python tools/prepare_dataset.py {key} --archives data/archives --out data" in text


def test_an_unknown_data_set_is_only_said_to_be_missing() -> None:
    text = MissingData("FacadeDataset", Path("/home/jade/facades")).how_to_get()
    assert text == "Put it there, or point the config's data_root to where it is."


def test_wrapped_data_sets_are_looked_into(tmp_path: Path) -> None:
    make_voc(tmp_path, "train")
    inner = [voc(str(tmp_path), split)["dataset"] for split in ("train", "aug")]
    repeated = dict(type="RepeatDataset", dataset=dict(type="ConcatDataset", datasets=inner))
    (missing,) = find_missing_data(dict(train_dataloader=dict(dataset=repeated)))
    assert missing.parts == ["ImageSets/aug.txt"]


def test_scenes_make_themselves() -> None:
    cfg = dict(train_dataloader=dict(dataset=dict(type="MiniSceneDataset", data_root="nowhere")))
    assert find_missing_data(cfg) == []


@pytest.mark.usefixtures("clip_message")
class TestTransductiveStart:
    """Self-training starts from an inductive checkpoint, or not at all."""

    @staticmethod
    def config(root: Path, **more: object) -> Config:
        make_voc(root, "train")
        loader = voc(str(root), "train")
        loader["dataset"]["setting"] = "transductive"
        return Config(dict(train_dataloader=loader, **more))

    def test_none_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="no checkpoint of an inductive run is named"):
            preflight(self.config(tmp_path), ["train"])

    def test_the_named_one_is_not_there(self, tmp_path: Path) -> None:
        cfg = self.config(tmp_path, load_from="work_dirs/zegclip_voc_inductive/iter_9.pth")
        with pytest.raises(InputError) as error:
            preflight(cfg, ["train"])
        assert "iter_9.pth does not exist" in str(error.value)
        assert "python tools/train.py configs/zegclip_voc_inductive.py" in str(error.value)

    def test_it_is_there(self, tmp_path: Path) -> None:
        (tmp_path / "start.pth").touch()
        preflight(self.config(tmp_path / "v", load_from=str(tmp_path / "start.pth")), ["train"])

    def test_resumed(self, tmp_path: Path) -> None:
        preflight(self.config(tmp_path, resume=True), ["train"])


def test_a_config_that_only_tests_is_not_trained() -> None:
    with pytest.raises(InputError, match="has no train_dataloader: it only tests"):
        preflight(Config(dict(train_dataloader=None)), ["train"])


@pytest.mark.usefixtures("clip_message")
def test_only_the_data_where_no_model_is_made(tmp_path: Path) -> None:
    cfg = Config(
        dict(
            model=dict(clip=dict(model_name="ViT-B-16", weights="data/clip/x.pt")),
            test_dataloader=voc(str(tmp_path / "VOC2012"), "val"),
            load_from="iter_9.pth",
        )
    )
    with pytest.raises(InputError, match="1 thing is missing") as error:
        preflight(cfg, ["test"], data_only=True)
    assert "x.pt" not in str(error.value) and "iter_9" not in str(error.value)
    make_voc(tmp_path / "VOC2012", "val")
    preflight(cfg, ["test"], data_only=True)
