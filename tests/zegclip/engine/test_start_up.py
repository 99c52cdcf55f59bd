"""What is missing is said before work starts, all at once, with the way to get it."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config

from zegclip.engine import start_up
from zegclip.errors import InputError


def loader(root: Path, split: str, **changes: Any) -> dict[str, Any]:
    return dict(
        dataset=dict(
            type="VOC20Dataset",
            data_root=str(root),
            data_prefix=dict(img_path="JPEGImages", seg_map_path="SegmentationClass"),
            ann_file=f"ImageSets/{split}.txt",
            **changes,
        )
    )


def make_voc(root: Path, *splits: str) -> Path:
    for name in ("JPEGImages", "SegmentationClass", "ImageSets"):
        (root / name).mkdir(parents=True)
    for split in splits:
        (root / "ImageSets" / f"{split}.txt").touch()
    return root


@pytest.fixture
def cfg(tmp_path: Path) -> Config:
    """Nothing of it is there."""
    return Config(
        dict(
            model=dict(clip=dict(model_name="ViT-B-16-quickgelu", weights="data/clip/x.pt")),
            train_dataloader=loader(tmp_path / "VOC2012", "train"),
            val_dataloader=loader(tmp_path / "VOC2012", "val"),
            load_from="work_dirs/zegclip_voc_inductive/iter_9.pth",
        )
    )


def test_everything_missing_is_one_message(cfg: Config, tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        start_up.check(cfg, ["train", "val"])
    message = str(error.value)
    assert "data/clip/x.pt" in message
    assert "iter_9.pth" in message
    assert "`python tools/train.py configs/zegclip_voc_inductive.py` writes it" in message
    assert message.count(f"{tmp_path / 'VOC2012'}") == 1  # once for both splits
    assert "python tools/prepare_dataset.py voc --archives data/archives --out data" in message


@pytest.mark.parametrize("crop", [128, (64, 96)])
def test_a_crop_that_is_not_padded(crop: Any, cfg: Config) -> None:
    cfg.model.data_preprocessor = dict(size=(64, 64))
    cfg.train_dataloader.dataset.pipeline = [dict(type="FastRandomCrop", crop_size=crop)]
    with pytest.raises(InputError, match=r"crop_size=.* is larger than .*size=\(64, 64\)"):
        start_up.check(cfg, ["train"])


@pytest.mark.parametrize(("padded", "said"), [(96, 0), (112, 0), (160, 1)])
def test_crops_that_are_mostly_padding(
    padded: int, said: int, cfg: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts: list[str] = []
    monkeypatch.setattr(start_up, "print_log", lambda text, *_: texts.append(text))
    cfg.model.data_preprocessor = dict(size=(padded, padded))
    cfg.train_dataloader.dataset.pipeline = [dict(type="FastRandomCrop", crop_size=(96, 96))]
    start_up._check_crop(cfg)
    assert len(texts) == said
    assert all("every crop of (96, 96) pixels is padded" in text for text in texts)


@pytest.mark.parametrize(
    ("step", "differ"),
    [
        (dict(type="ResizeShortestEdge", scale=512), True),
        (dict(type="Resize", scale=(2048, 512), keep_ratio=True), True),
        (dict(type="Resize", scale=(512, 512)), False),  # all are of one size
        (dict(type="LoadImageFromFile"), False),
    ],
)
def test_photographs_validated_in_batches_are_warned_of(
    step: dict[str, Any], differ: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(start_up, "print_log", lambda text, *_: said.append(text))
    train, val = (loader(make_voc(tmp_path / s, s), s, pipeline=[step]) for s in ("train", "val"))
    cfg = dict(train_dataloader=train | dict(batch_size=16), val_dataloader=val)
    cfg["test_dataloader"] = val | dict(batch_size=1)
    start_up.check(cfg, ["train", "val", "test"])
    cfg["val_dataloader"] = val | dict(batch_size=4)
    start_up.check(cfg, ["test"])  # (which does not validate)
    start_up.check(cfg, ["val"], data_only=True)
    assert said == []
    start_up.check(cfg, ["train", "val"])
    assert len(said) == differ
    for text in said:
        assert "val_dataloader.batch_size=4, but" in text and text.endswith(".batch_size=1")


def test_scenes_of_one_size_are_validated_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(start_up, "print_log", lambda text, *_: said.append(text))
    cfg = Config.fromfile("configs/zegclip_mini_inductive.py")
    cfg.val_dataloader.batch_size = cfg.test_dataloader.batch_size = 25
    start_up.check(cfg, ["train", "val"])
    start_up.check(cfg, ["test"])
    assert said == []


def test_training_on_the_validation_list_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(start_up, "print_log", lambda text, *_: said.append(text))
    root = make_voc(tmp_path / "v")
    held_out = "ImageSets/Segmentation/val.txt"
    for name in ("train", "val"):
        (root / "ImageSets/Segmentation").mkdir(exist_ok=True)
        (root / f"ImageSets/Segmentation/{name}.txt").touch()
    val = loader(root, "val")
    val["dataset"]["ann_file"] = held_out
    train = copy.deepcopy(val)
    train["dataset"]["ann_file"] = held_out.replace("val", "train")
    cfg = dict(train_dataloader=train, val_dataloader=val, test_dataloader=val)
    start_up.check(cfg, ["train", "val"])
    start_up.check(cfg, ["test"])
    assert said == []
    train["dataset"]["ann_file"] = [train["dataset"]["ann_file"], str(root / held_out)]
    start_up.check(cfg, ["train", "val"])
    (text,) = said
    assert "val.txt, so that the validation images are trained on" in text
    train["dataset"]["held_out_file"] = None
    start_up.check(cfg, ["train", "val"])
    assert len(said) == 1


def test_parts_and_wrapped_data_sets_are_looked_into(cfg: Config, tmp_path: Path) -> None:
    make_voc(tmp_path / "VOC2012", "train")
    cfg.load_from, cfg.model.clip.weights = None, "random"
    start_up.check(cfg, ["train"])
    inner = [loader(tmp_path / "VOC2012", split)["dataset"] for split in ("train", "aug")]
    joined = dict(type="ConcatDataset", datasets=inner)
    cfg.train_dataloader.dataset = dict(type="RepeatDataset", times=2, dataset=joined)
    with pytest.raises(InputError, match=r"ImageSets/aug\.txt") as error:
        start_up.check(cfg, ["train"])
    assert "train.txt" not in str(error.value)


def test_only_the_data_where_no_model_is_made(cfg: Config, tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        start_up.check(cfg, ["val"], data_only=True)
    assert "x.pt" not in str(error.value) and "iter_9" not in str(error.value)
    make_voc(tmp_path / "VOC2012", "val")
    start_up.check(cfg, ["val"], data_only=True)


def test_epochs_that_never_end() -> None:
    cfg = Config.fromfile("configs/zegclip_mini_inductive.py")
    cfg.train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=3, val_interval=1)
    with pytest.raises(InputError, match="with an InfiniteSampler none ends: set .*DefaultSampler"):
        start_up.check(cfg, ["train"])
    cfg.train_dataloader.sampler = dict(type="DefaultSampler", shuffle=True)
    start_up.check(cfg, ["train"])


def test_a_schedule_by_epochs_in_a_training_by_iterations() -> None:
    cfg = Config.fromfile("configs/zegclip_mini_inductive.py")
    cfg.param_scheduler = [dict(type="MultiStepLR", milestones=[300])]  # mmengine: by epochs
    with pytest.raises(InputError, match="MultiStepLR counts epochs .*: set by_epoch=False in it"):
        start_up.check(cfg, ["train"])
    for settings in (dict(by_epoch=False), dict(convert_to_iter_based=True)):
        cfg.param_scheduler = dict(type="MultiStepLR", milestones=[300], **settings)
        start_up.check(cfg, ["train"])
    cfg.param_scheduler = dict(type="ReduceOnPlateauLR", monitor="mIoU_S")  # by validations
    start_up.check(cfg, ["train"])
    cfg.train_dataloader.sampler = dict(type="DefaultSampler", shuffle=True)
    cfg.param_scheduler = dict(type="MultiStepLR", milestones=[3])
    cfg.train_cfg = dict(max_epochs=9)
    start_up.check(cfg, ["train"])


def test_a_hook_s_priority_is_mmengine_s() -> None:
    cfg = Config.fromfile("configs/zegclip_mini_inductive.py")
    cfg.default_hooks.checkpoint.priority = "LOW"
    start_up.check(cfg, ["train"])


def test_scenes_make_themselves() -> None:
    scenes = dict(type="MiniSceneDataset", data_root="nowhere", ann_file="train.txt")
    start_up.check(dict(train_dataloader=dict(dataset=scenes)), ["train"])


def test_a_config_that_only_tests_is_not_trained() -> None:
    with pytest.raises(InputError, match="has no train_dataloader: it only tests"):
        start_up.check(dict(train_dataloader=None), ["train"])


@pytest.mark.parametrize(
    ("type", "left"),
    [("SGD", "SGD takes no betas"), ("RAdam", "RAdam takes no fused"), ("Adam", None)],
)
def test_another_optimizer_does_not_inherit_the_settings_it_lacks(
    type: str, left: str | None
) -> None:
    cfg = Config.fromfile("configs/zegclip_mini_inductive.py")
    cfg.optim_wrapper.optimizer.type = type
    if left is None:
        start_up.check(cfg, ["train", "val"])
        return
    with pytest.raises(InputError, match=f"{left}.*_delete_=True, type='{type}'"):
        start_up.check(cfg, ["train", "val"])


def test_self_training_starts_from_a_checkpoint_or_is_resumed(tmp_path: Path) -> None:
    train = loader(make_voc(tmp_path / "v", "train"), "train", setting="transductive")
    with pytest.raises(InputError, match="goes on from an inductive run, and none is named"):
        start_up.check(dict(train_dataloader=train), ["train"])
    start_up.check(dict(train_dataloader=train, resume=True), ["train"])
    (tmp_path / "start.pth").touch()
    start_up.check(dict(train_dataloader=train, load_from=str(tmp_path / "start.pth")), ["train"])


@pytest.mark.parametrize(
    ("before", "refused"),
    [([], None), (["FastRandomCrop"], "FastRandomCrop"), (["RandomResize", "Mosaic"], "RandomR")],
)
def test_nothing_sees_unseen_labels_before_they_are_hidden(
    before: list[str], refused: str | None
) -> None:
    cfg = Config.fromfile("configs/zegclip_mini_inductive.py")
    loads = ["Resize", "LoadCheckedAnnotations"]  # (what comes before the labels cannot see them)
    steps = [*loads, *before, "HideUnseenLabels", "RandomFlip"]
    cfg.train_dataloader.dataset.pipeline = [dict(type=step) for step in steps]
    if refused is None:
        start_up.check(cfg, ["train"])
        return
    with pytest.raises(
        InputError, match=f"{refused}.* sees the labels of unseen classes: put Hide"
    ):
        start_up.check(cfg, ["train"])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, ""),
        ({"default_hooks": {"checkpoint": dict(type="CheckpointHook", save_best="mIoU_S")}}, ""),
        (
            {"default_hooks": {"checkpoint": dict(type="CheckpointHook", save_best="hIoU")}},
            "CheckpointHook follows hIoU",
        ),
        (
            {"custom_hooks": [dict(type="EarlyStoppingHook", monitor="mIoU_U")]},
            "EarlyStoppingHook follows mIoU_U",
        ),
        (
            {"param_scheduler": dict(type="ReduceOnPlateauLR", monitor="hIoU", rule="greater")},
            "ReduceOnPlateauLR follows hIoU",
        ),
    ],
)
def test_what_follows_unseen_labels_is_said(
    changes: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts: list[str] = []
    monkeypatch.setattr(start_up, "print_log", lambda text, *_: texts.append(text))
    cfg = Config.fromfile("configs/zegclip_mini_inductive.py")
    for key, value in changes.items():
        cfg[key] = value
    start_up.check(cfg, ["train", "val"])
    assert [text[: len(said)] for text in texts] == [said] * bool(said)
    cfg.train_dataloader.dataset.setting = cfg.val_dataloader.dataset.setting = "supervised"
    start_up.check(cfg, ["train", "val"])
    assert len(texts) == bool(said)
