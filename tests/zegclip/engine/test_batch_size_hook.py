"""The warning about a batch that the learning rate was not chosen for."""

from __future__ import annotations

import pytest
from mmengine.config import ConfigDict

from zegclip.engine.batch_size_hook import batch_size_message


def config(batch: int, accumulation: int = 1, enable: bool = False) -> ConfigDict:
    return ConfigDict(
        train_dataloader=dict(batch_size=batch),
        optim_wrapper=dict(accumulative_counts=accumulation),
        auto_scale_lr=dict(enable=enable, base_batch_size=16),
    )


@pytest.mark.parametrize(
    ("cfg", "processes"),
    [
        (config(16), 1),
        (config(4), 4),
        (config(4, accumulation=2), 2),
        (config(2, enable=True), 1),  # scaled for
        (ConfigDict(train_dataloader=dict(batch_size=3)), 1),  # no recipe
        (ConfigDict(auto_scale_lr=dict(base_batch_size=16)), 1),  # no training
    ],
)
def test_silent(cfg: ConfigDict, processes: int) -> None:
    assert batch_size_message(cfg, processes) is None


def test_names_batch_and_fix() -> None:
    message = batch_size_message(config(4), 2)
    assert message is not None
    assert "effective batch is 8 (4 x 2 process(es) x 1 accumulated)" in message
    assert "chosen for 16" in message
    assert "train_dataloader.batch_size=8" in message
    assert "--auto-scale-lr" in message


def test_accumulation_is_not_scaled_for() -> None:
    message = batch_size_message(config(2, accumulation=3, enable=True), 1)
    assert message is not None and "effective batch is 6" in message
    assert "train_dataloader.batch_size" not in message  # 16 / 3 is no batch
