"""Steps of several models are measured in turns, on one batch each."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config

from zegclip.engine import step_time

CONFIG = Path(__file__).parents[3] / "configs" / "zegclip_mini_inductive.py"


def test_models_step_in_turns(monkeypatch: pytest.MonkeyPatch, tiny_clip_config: Path) -> None:
    config = Config.fromfile(CONFIG)
    config.train_dataloader.batch_size = 2
    config.model.clip = dict(model_name=str(tiny_clip_config), weights="random:0")
    other = deepcopy(config)
    other.model.decode_head.num_layers = 1
    steps: list[int] = []
    prepare = step_time._prepare

    def counted(config: Config) -> tuple[Any, Any, Any]:
        model, optimizer, batch = prepare(config)
        step, layers = model.train_step, config.model.decode_head.num_layers
        before = model.decode_head.decoder.layers[-1].cross_attention.query.weight.clone()

        def train_step(data: Any, wrapper: Any) -> Any:
            steps.append(layers)
            losses = step(data, wrapper)
            weight = model.decode_head.decoder.layers[-1].cross_attention.query.weight
            assert not weight.equal(before)  # it really steps
            return losses

        model.train_step = train_step
        return model, optimizer, batch

    monkeypatch.setattr(step_time, "_prepare", counted)
    seconds = step_time.seconds_per_step({"three": config, "one": other}, steps=2, warmup=1)
    assert steps == [3, 1] * 3
    assert list(seconds) == ["three", "one"] and all(value > 0 for value in seconds.values())
