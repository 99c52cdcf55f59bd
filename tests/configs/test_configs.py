"""Every config of the repository is complete: its model builds and its names are right."""

from __future__ import annotations

from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

import ldvc  # noqa: F401
import tagclip  # noqa: F401

HEADS = {"zegclip": "ATMHead", "tagclip": "TrustyHead", "ldvc": "ConsensusHead"}
# A user's own configs beside them are not looked at.
CONFIGS = sorted(
    path
    for path in (Path(__file__).parents[2] / "configs").glob("*_*_*.py")
    if path.stem.split("_")[0] in HEADS and path.stem.split("_")[1] in ("mini", "voc")
)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_config_says_what_its_name_says(path: Path, tiny_clip_config: Path) -> None:
    method, data, setting = path.stem.split("_")
    config = Config.fromfile(path)
    for loader in (config.train_dataloader, config.val_dataloader, config.test_dataloader):
        assert loader.dataset.setting == setting
    assert config.model.decode_head.type == HEADS[method]
    assert ("mini" in config.model.clip.model_name) == (data == "mini")

    init_default_scope("mmseg")
    config.model.clip = dict(model_name=str(tiny_clip_config), weights="random:0")
    model = MODELS.build(config.model)
    model.init_weights()
    learned = {n.partition(".")[0] for n, p in model.named_parameters() if p.requires_grad}
    expected = {"image_encoder", "decode_head"} | ({"text_encoder"} if method == "ldvc" else set())
    assert learned == expected


@pytest.mark.parametrize("data", ["mini", "voc"])
def test_methods_share_data_and_recipe(data: str) -> None:
    configs = [
        Config.fromfile(CONFIGS[0].parent / f"{method}_{data}_inductive.py") for method in HEADS
    ]
    for key in ("optim_wrapper", "param_scheduler", "train_cfg", "train_dataloader", "test_cfg"):
        assert configs[0][key] == configs[1][key] == configs[2][key], key
    for key in ("clip", "test_cfg", "data_preprocessor"):
        assert configs[0].model[key] == configs[1].model[key] == configs[2].model[key], key
