"""Every config of the repository is what its name says, and runs: one training and one test step.

A small tower takes the place of CLIP, and a few generated images in the data set's file layout that
of the data.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.optim import OptimWrapper
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS, METRICS, MODELS

import ldvc  # noqa: F401
import tagclip  # noqa: F401
from zegclip.segmentors import ZeroShotSegmentor

FOLDER = Path(__file__).parents[2] / "configs"
HEADS = {"zegclip": "ATMHead", "tagclip": "TrustyHead", "ldvc": "ConsensusHead"}
DATASETS_OF = {
    "mini": "MiniSceneDataset",
    "voc": "VOC20Dataset",
    "voc21": "VOC21Dataset",
    "coco": "COCOStuff171Dataset",
    "context": "Context59Dataset",
    "context60": "Context60Dataset",
}
TARGETS = {"voc": "VOC20Dataset", "context": "Context59Dataset", "ade": "ADE150Dataset"}
ITERATIONS = {"voc": 20000, "coco": 80000, "context": 40000, "mini": 1000}
LOADERS = ("train_dataloader", "val_dataloader", "test_dataloader")
INDUCTIVE = [f"{method}_{data}_inductive" for method in HEADS for data in DATASETS_OF]
DERIVED = [
    f"{method}_{data}_{setting}"
    for method in HEADS
    for data in ITERATIONS
    for setting in ("transductive", "supervised")
]
CROSS_DATASET = [f"{method}_coco_to_{target}" for method in HEADS for target in TARGETS]


def load(name: str) -> Config:
    return Config.fromfile(FOLDER / f"{name}.py")


def test_these_are_all() -> None:
    """A config whose name says otherwise belongs to a user, or has no test."""
    ours = {path.stem for path in FOLDER.glob("*.py") if path.stem.split("_")[0] in HEADS}
    assert ours == {*INDUCTIVE, *DERIVED, *CROSS_DATASET}


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


@pytest.mark.parametrize("name", DERIVED)
def test_settings_differ_in_the_setting_the_start_and_the_length_alone(name: str) -> None:
    method, data_name, setting = name.split("_")
    config, inductive = load(name), load(f"{method}_{data_name}_inductive")
    for loader in LOADERS:
        assert config[loader].dataset == inductive[loader].dataset | {"setting": setting}
    assert config.model == inductive.model
    assert config.optim_wrapper == inductive.optim_wrapper
    if setting == "transductive":
        half = ITERATIONS[data_name] // 2
        assert config.load_from == f"work_dirs/{method}_{data_name}_inductive/iter_{half}.pth"
        assert config.train_cfg.max_iters == half
    else:
        assert config.train_cfg == inductive.train_cfg


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
    assert (pseudo_labelled.sum() > 0) == (setting == "transductive")
    assert pseudo_labelled[list(model.vocabulary.seen_ids)].sum() == 0

    numbers = numbers_of(config, model)
    assert {"pAcc", "mIoU_S", "mIoU_U", "hIoU"} == set(numbers)
    assert all(0 <= value <= 100 for value in numbers.values())


@pytest.mark.parametrize("name", CROSS_DATASET)
def test_another_data_sets_words_by_config_alone(name: str, tower: Path, data: Path) -> None:
    method, _, _, target = name.split("_")
    config = load(name)
    assert config.model == load(f"{method}_coco_inductive").model  # so that its checkpoints fit
    assert config.train_dataloader is None
    assert config.test_dataloader.dataset.type == TARGETS[target]

    config = small(config, tower, data)
    model = built(config)
    assert set(numbers_of(config, model)) == {"pAcc", "mIoU"}
    assert model.vocabulary.setting == "cross_dataset" and not model.vocabulary.unseen
    protocol = model.protocol()
    assert protocol["gamma"] == 0 and protocol.get("trusty_weighting", "none") == "none"
