"""Every config of the repository is what its name says, and runs: one training and one test step.

A small tower takes the place of CLIP, and a few generated images in the data set's file layout that
of the data.
"""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.optim import OptimWrapper
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS, METRICS, MODELS
from PIL import Image

import ldvc  # noqa: F401
import tagclip  # noqa: F401
from zegclip.datasets import ADE150Dataset, Context59Dataset, Context60Dataset, VOC20Dataset
from zegclip.engine.arguments import load_config, make_parser
from zegclip.engine.config_files import learns
from zegclip.heads.training_free_head import BACKGROUND_WORDS
from zegclip.segmentors import ZeroShotSegmentor

FOLDER = Path(__file__).parents[2] / "configs"
HEADS = {"zegclip": "ATMHead", "tagclip": "TrustyHead", "ldvc": "ConsensusHead"}
DATASETS_OF = {
    "mini": "MiniSceneDataset",
    "voc": "VOC20Dataset",
    "voc21": "VOC21Dataset",
    "coco": "COCOStuff171Dataset",
    "context59": "Context59Dataset",
    "context60": "Context60Dataset",
    **{f"voc-seen{percent}": "VOC20Dataset" for percent in (75, 50, 25)},
}
CONTEXT = {f"context{count}": f"Context{count}Dataset" for count in (59, 60)}
TARGETS = {"voc": "VOC20Dataset", "ade": "ADE150Dataset", **CONTEXT}
ITERATIONS = {"voc": 20000, "coco": 80000, "context59": 40000, "context60": 40000, "mini": 500}
# Visual prompts before each block of the image encoder, by data set.
PROMPTS = {
    "voc": 10, "voc21": 10, **{f"voc-seen{percent}": 10 for percent in (75, 50, 25)},
    "context59": 35, "context60": 35, "coco": 100,
}  # fmt: skip
LOADERS = ("train_dataloader", "val_dataloader", "test_dataloader")
INDUCTIVE = [f"{method}_{data}_inductive" for method in HEADS for data in DATASETS_OF]
SETTINGS = ("transductive", "transductive-all-unlabelled", "supervised")
DERIVED = [f"{m}_{data}_{setting}" for m in HEADS for data in ITERATIONS for setting in SETTINGS]
CROSS_DATASET = [f"{method}_coco_to_{target}" for method in HEADS for target in TARGETS]
TRAINING_FREE = {
    data: DATASETS_OF.get(data) or TARGETS[data]
    for data in ("mini", "voc", "voc21", "context59", "context60", "coco", "ade")
}


def load(name: str) -> Config:
    return Config.fromfile(FOLDER / f"{name}.py")


def test_these_are_all() -> None:
    """A config whose name says otherwise belongs to a user, or has no test."""
    ours = {path.stem for path in FOLDER.glob("*.py") if path.stem.split("_")[0] in HEADS}
    assert ours == {*INDUCTIVE, *DERIVED, *CROSS_DATASET}
    free = {path.stem.removeprefix("training_free_") for path in FOLDER.glob("training_free_*.py")}
    assert free == {*TRAINING_FREE}


def test_ade_with_a_split_of_ones_own(tmp_path: Path) -> None:
    """Named unseen classes are not trained on; without any no setting is assumed."""
    mine = tmp_path / "mine.py"
    bases = ("models/zegclip_vit-b16", "datasets/ade20k_150", "schedules/schedule_20k")
    mine.write_text(f"_base_ = {[f'{FOLDER}/_base_/{name}.py' for name in bases]}\n")
    for unseen in (["wall", "tree"], []):
        options = ["--unseen", *unseen] if unseen else []
        cfg = load_config(make_parser("", "").parse_args([str(mine), *options]))
        for loader in LOADERS:
            vocabulary = ADE150Dataset.vocabulary_of(cfg[loader].dataset)
            assert vocabulary.setting == "inductive" and list(vocabulary.unseen) == unseen
            assert len(vocabulary.seen) == 150 - len(unseen)


@pytest.mark.parametrize("name", INDUCTIVE)
def test_methods_share_data_and_recipe(name: str) -> None:
    method, data_name, setting = name.split("_")
    config, base = load(name), load(f"zegclip_{data_name}_inductive")
    for loader in LOADERS:
        assert config[loader].dataset.setting == setting
        assert config[loader].dataset.type == DATASETS_OF[data_name]
    assert config.model.decode_head.type == HEADS[method]
    assert ("mini" in config.model.clip.model_name) == (data_name == "mini")
    if data_name in ITERATIONS:
        assert config.train_cfg.max_iters == ITERATIONS[data_name]
    for key in ("optim_wrapper", "param_scheduler", "train_cfg", "train_dataloader"):
        assert config[key] == base[key], key
    for key in ("clip", "test_cfg", "data_preprocessor"):
        assert config.model[key] == base.model[key], key


@pytest.mark.parametrize("data_name", PROMPTS)
@pytest.mark.parametrize("method", HEADS)
def test_numbers_of_the_full_size_configs(method: str, data_name: str) -> None:
    config = load(f"{method}_{data_name}_inductive")
    model = config.model
    assert config.train_dataloader.batch_size == 16
    assert model.clip == {"model_name": "ViT-B-16-quickgelu", "weights": "openai"}
    assert model.image_encoder.num_prompts == PROMPTS[data_name]
    one_template = data_name.startswith("voc") or method == "ldvc"
    assert model.text_encoder.templates == ("single" if one_template else "multi15")
    assert model.test_cfg == {"mode": "slide", "crop_size": (512, 512), "stride": (426, 426)}
    assert model.data_preprocessor.mean == [123.675, 116.28, 103.53]
    assert model.data_preprocessor.std == [58.395, 57.12, 57.375]
    assert model.data_preprocessor.bgr_to_rgb and model.data_preprocessor.size == (512, 512)
    head = model.decode_head
    focal_weight = 20 if method == "tagclip" else 100
    assert head.loss == {"type": "MaskLoss", "focal_weight": focal_weight, "dice_weight": 1}
    assert head.gamma == 0.1
    assert (head.decoder.num_layers, head.decoder.num_heads) == (3, 8)
    assert (head.decoder.feedforward_channels, head.decoder.dropout) == (2048, 0.1)
    if method == "tagclip":
        trusty = {key: head[f"trusty_{key}"] for key in ("loss_weight", "target", "weighting")}
        assert trusty == {"loss_weight": 10, "target": "seen", "weighting": "both"}
    if method == "ldvc":
        assert (head.decoder.regions_per_side, head.decoder.topk) == (8, 16)
        assert model.text_encoder.num_prompts == 4


@pytest.mark.parametrize("name", [*INDUCTIVE, *DERIVED])
def test_unseen_labels_are_hidden_directly_after_loading(name: str) -> None:
    """Before a crop is chosen by its labels; where unseen objects are is not shown on request."""
    steps = load(name).train_dataloader.dataset.pipeline[:3]
    types = ["LoadImageFromFile", "LoadCheckedAnnotations", "HideUnseenLabels"]
    assert [step.type for step in steps] == types
    assert not steps[2].get("keep_unseen_map", False)


@pytest.mark.parametrize("name", DERIVED)
def test_settings_differ_in_the_setting_the_start_and_the_length_alone(name: str) -> None:
    method, data_name, setting = name.split("_")
    config, inductive = load(name), load(f"{method}_{data_name}_inductive")
    setting, _, every_unlabelled = setting.partition("-")
    for loader in LOADERS:
        assert config[loader].dataset == inductive[loader].dataset | {"setting": setting}
    pseudo_labels = config.model.pop("pseudo_labels", None)
    if (method, data_name, setting) == ("zegclip", "voc", "transductive"):  # as published
        assert config.model.decode_head.loss.pop("focal_weight") == 20
        assert inductive.model.decode_head.loss.pop("focal_weight") == 100
    assert config.model == inductive.model
    assert config.optim_wrapper == inductive.optim_wrapper
    if setting == "transductive":
        assert pseudo_labels == ("all_unlabelled" if every_unlabelled else "unseen_pixels")
        half = ITERATIONS[data_name] // 2
        assert config.load_from == f"work_dirs/{method}_{data_name}_inductive/iter_{half}.pth"
        assert config.train_cfg.max_iters == half
    else:
        assert config.train_cfg == inductive.train_cfg


def test_fewer_seen_classes_are_chosen_by_a_rule_and_within_one_another() -> None:
    seen = VOC20Dataset.vocabulary_of({}).seen
    by_rule = {75: [s for n, s in enumerate(seen, 1) if n % 4 != 2], 50: seen[::2], 25: seen[2::4]}
    for percent, kept in by_rule.items():
        dataset = load(f"zegclip_voc-seen{percent}_inductive").train_dataloader.dataset
        assert VOC20Dataset.vocabulary_of(dataset).seen == tuple(kept)
        assert abs(len(kept) / len(seen) - percent / 100) < 0.04
    assert set(by_rule[25]) < set(by_rule[50]) < set(by_rule[75])


def test_background_is_a_seen_class_of_context60_and_none_of_context59() -> None:
    vocabularies = [
        kind.vocabulary_of(load(f"zegclip_context{count}_inductive").train_dataloader.dataset)
        for count, kind in ((59, Context59Dataset), (60, Context60Dataset))
    ]
    without, with_background = vocabularies
    assert (len(without.seen), len(without.unseen)) == (49, 10)
    assert with_background.seen == ("background", *without.seen)
    assert with_background.unseen == without.unseen


@pytest.fixture(scope="session")
def tower(tmp_path_factory: pytest.TempPathFactory, tiny_clip_config: Path) -> Path:
    """A small tower with CLIP's patches of 16 pixels."""
    config = json.loads(tiny_clip_config.read_text())
    config["vision_cfg"] |= {"patch_size": 16, "image_size": 64}
    path = tmp_path_factory.mktemp("tower") / "tower.json"
    path.write_text(json.dumps(config))
    return path


def small(config: Config, tower: Path, data: Path) -> Config:
    """The config with a small tower, crops of 64 pixels and the generated data."""
    config = Config(config._cfg_dict)
    model = config.model
    model.clip = dict(model_name=str(tower), weights="random:0")
    if "decoder" in model.decode_head:
        model.image_encoder.num_prompts = 2
        model.decode_head.decoder.update(num_heads=4, feedforward_channels=32)
    model.data_preprocessor.size = (64, 64)
    model.test_cfg = dict(mode="slide", crop_size=(64, 64), stride=(48, 48))
    for name in LOADERS:
        if config.get(name) is None:
            continue
        dataset = config[name].dataset
        if dataset.type == "MiniSceneDataset":
            dataset.update(data_root=str(data / "mini"), number=2)
        else:
            dataset.data_root = str(data / Path(dataset.data_root).relative_to("data"))
        sizes = {
            "RandomResize": dict(scale=(256, 64)),
            "FastRandomCrop": dict(crop_size=(64, 64)),
            "ResizeShortestEdge": dict(scale=64),
        }
        for step in dataset.pipeline:
            step.update(sizes.get(step.type, {}))
    return config


def built(config: Config) -> ZeroShotSegmentor:
    init_default_scope("mmseg")
    torch.manual_seed(0)
    model = MODELS.build(config.model)
    model.init_weights()
    return model


def numbers_of(config: Config, model: ZeroShotSegmentor) -> dict[str, float]:
    """One test step and its numbers."""
    dataset = DATASETS.build(config.test_dataloader.dataset)
    metric = METRICS.build(config.test_evaluator)
    model.dataset_meta = metric.dataset_meta = dataset.metainfo
    batch = pseudo_collate([dataset[0]])
    metric.process(batch, [sample.to_dict() for sample in model.eval().test_step(batch)])
    return metric.evaluate(1)


# (Derived configs are the inductive ones but for what the test above lists.)
@pytest.mark.parametrize("name", [*INDUCTIVE, *(name for name in DERIVED if "_voc_" in name)])
def test_one_training_and_one_test_step(name: str, tower: Path, data: Path) -> None:
    method, _, setting = name.split("_")
    config = small(load(name), tower, data)
    model = built(config)
    learned = {n: p.detach().clone() for n, p in model.named_parameters() if p.requires_grad}
    expected = {"image_encoder", "decode_head"} | ({"text_encoder"} if method == "ldvc" else set())
    assert {n.partition(".")[0] for n in learned} == expected

    dataset: Any = DATASETS.build(config.train_dataloader.dataset)
    model.dataset_meta = dataset.metainfo
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    losses = model.train().train_step(pseudo_collate([dataset[0]]), OptimWrapper(optimizer))
    assert losses["loss"].isfinite() and losses["loss"] > 0
    changed = {n for n, p in model.named_parameters() if n in learned and (p != learned[n]).any()}
    assert {n.partition(".")[0] for n in changed} == expected
    pseudo_labelled = model.pseudo_labelled.take()
    assert (pseudo_labelled.sum() > 0) == setting.startswith("transductive")
    assert pseudo_labelled[list(model.vocabulary.seen_ids)].sum() == 0

    numbers = numbers_of(config, model)
    assert {"pAcc", "mIoU_S", "mIoU_U", "hIoU"} == set(numbers)
    assert all(0 <= value <= 100 for value in numbers.values())


@pytest.mark.parametrize("method", HEADS)
@pytest.mark.parametrize("pseudo_labels", ["all-unlabelled", ""])
def test_what_self_training_knows_of_hidden_masks(
    pseudo_labels: str, method: str, tower: Path, data: Path, tmp_path: Path
) -> None:
    """Files in which unseen objects are background: the same losses, unless it looks at them."""
    blank = shutil.copytree(data, tmp_path / "data")
    for path in blank.glob("VOCdevkit/VOC2012/SegmentationClass*/*.png"):
        labels = np.array(Image.open(path))
        unseen = [1 + index for index in VOC20Dataset.vocabulary_of({}).unseen_ids]
        Image.fromarray(np.where(np.isin(labels, unseen), np.uint8(0), labels)).save(path)
    losses = []
    for root in (data, blank):
        name = f"{method}_voc_transductive" + f"-{pseudo_labels}" * bool(pseudo_labels)
        config = small(load(name), tower, root)
        model, dataset = built(config).train(), DATASETS.build(config.train_dataloader.dataset)
        model.dataset_meta = dataset.metainfo
        np.random.seed(1)
        random.seed(1)
        torch.manual_seed(1)
        batch = model.data_preprocessor(pseudo_collate([dataset[0], dataset[1]]), training=True)
        losses.append(model.loss(**batch))
    same = [torch.equal(losses[0][key], losses[1][key]) for key in losses[0]]
    assert all(same) if pseudo_labels else not any(same)


@pytest.mark.parametrize("name", CROSS_DATASET)
def test_another_data_sets_words_by_config_alone(name: str, tower: Path, data: Path) -> None:
    method, _, _, target = name.split("_")
    config = load(name)
    trained = load(f"{method}_coco_inductive").model
    if target == "voc" and method != "ldvc":  # VOC's own template, as published
        assert config.model.text_encoder.templates == "single"
        config.model.text_encoder.templates = trained.text_encoder.templates
    assert config.model == trained  # so that its checkpoints fit
    assert config.train_dataloader is None
    assert config.test_dataloader.dataset.type == TARGETS[target]

    config = small(config, tower, data)
    model = built(config)
    assert set(numbers_of(config, model)) == {"pAcc", "mIoU"}
    assert model.vocabulary.setting == "cross_dataset" and not model.vocabulary.unseen
    protocol = model.protocol()
    assert protocol["gamma"] == 0 and protocol.get("trusty_weighting", "none") == "none"


def test_an_encoder_without_prompts_learns_nothing() -> None:
    config = load("training_free_mini")
    config.model.image_encoder = dict(type="PromptedImageEncoder", num_prompts=0)
    assert not learns(config)
    config.model.image_encoder.num_prompts = 1
    assert learns(config)


@pytest.mark.parametrize("data_name", TRAINING_FREE)
def test_without_training(data_name: str, tower: Path, data: Path) -> None:
    config = load(f"training_free_{data_name}")
    assert not learns(config) and config.train_dataloader is None
    assert config.test_dataloader.dataset.type == TRAINING_FREE[data_name]
    # The protocol of the published numbers; the mini benchmark's is that of the trained methods.
    resize = [s.scale for s in config.test_dataloader.dataset.pipeline if "Resize" in s.type]
    windows = config.model.test_cfg.get("crop_size"), config.model.test_cfg.get("stride")
    mini = data_name == "mini"
    side = 448 if data_name == "coco" else 336
    expected = ([], (None, None)) if mini else ([side], ((224,) * 2, (112,) * 2))
    assert (resize, windows) == expected
    if not mini:  # the same range about it as about the trained methods' 512
        sides, usual = (
            [step.scale for step in each.tta_pipeline[1].transforms[0]]
            for each in (config, load("zegclip_voc_inductive"))
        )
        assert sides == [each * side / 512 for each in usual]

    config = small(config, tower, data)
    model = built(config)
    assert not [name for name, p in model.named_parameters() if p.requires_grad]
    numbers = numbers_of(config, model)
    assert set(numbers) == ({"pAcc", "mIoU_S", "mIoU_U", "hIoU"} if mini else {"pAcc", "mIoU"})
    if data_name.startswith("voc"):  # SCLIP's words
        words = dict(zip(model.vocabulary.classes, model.vocabulary.words))
        if data_name == "voc21":
            assert words.pop("background") == BACKGROUND_WORDS  # a photograph's, too
        assert (words["boat"], words["pottedplant"]) == (("ship",), ("pottedplant",))
        assert len(words) == 20 and len(words["person"]) == 7 and len(words["tvmonitor"]) == 5
