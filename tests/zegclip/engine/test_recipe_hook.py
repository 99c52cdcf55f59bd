"""Warnings about a batch, a number of updates and a warm-up that are not the recipe's."""

from __future__ import annotations

import pytest
from mmengine.config import ConfigDict

from zegclip.engine.recipe_hook import recipe_warnings


def config(
    batch: int, accumulation: int = 1, enable: bool = False, iterations: int | None = None
) -> ConfigDict:
    return ConfigDict(
        train_dataloader=dict(batch_size=batch),
        optim_wrapper=dict(accumulative_counts=accumulation),
        auto_scale_lr=dict(enable=enable, base_batch_size=16),
        train_cfg=dict(max_iters=iterations),
        param_scheduler=[dict(type="LinearLR", end=1500), dict(type="PolyLR")],
    )


@pytest.mark.parametrize(
    ("cfg", "processes"),
    [
        (config(16, iterations=20000), 1),
        (config(4), 4),
        (config(4, accumulation=2), 2),
        (config(2, enable=True), 1),  # scaled for
        (ConfigDict(train_dataloader=dict(batch_size=3)), 1),  # no recipe
        (ConfigDict(auto_scale_lr=dict(base_batch_size=16)), 1),  # no training
    ],
)
def test_silent(cfg: ConfigDict, processes: int) -> None:
    assert list(recipe_warnings(cfg, processes)) == []


def test_names_batch_and_fix() -> None:
    (message,) = recipe_warnings(config(4), 2)
    assert "effective batch is 8 (4 x 2 process(es) x 1 accumulated)" in message
    assert "chosen for 16" in message
    assert "train_dataloader.batch_size=8" in message
    assert "--auto-scale-lr" in message


def test_accumulation_is_not_scaled_for() -> None:
    (message,) = recipe_warnings(config(2, accumulation=3, enable=True), 1)
    assert "effective batch is 6" in message and "scale optim_wrapper.optimizer.lr" in message
    assert "train_dataloader.batch_size" not in message  # 16 / 3 is no batch
    assert "auto-scale-lr" not in message  # which would not look at it


def test_accumulated_batches_are_fewer_updates() -> None:
    (message,) = recipe_warnings(config(4, accumulation=4, iterations=20000), 1)
    assert "20000 iterations of 4 accumulated batches are 5000 updates" in message


def test_a_warm_up_that_is_most_of_the_training() -> None:
    (message,) = recipe_warnings(config(16, iterations=2000), 1)
    assert "takes 1500 of 2000" in message and "param_scheduler.0.end=150" in message


@pytest.mark.parametrize(("iterations", "end"), [(6, 1), (26, 1), (27, 2)])
def test_a_warm_up_that_mmengine_takes(iterations: int, end: int) -> None:
    (message,) = recipe_warnings(config(16, iterations=iterations), 1)
    assert f"param_scheduler.0.end={end}." in message


def test_schedules_of_several_optimizers() -> None:
    cfg = config(16, iterations=20000)
    cfg.param_scheduler = dict(head=[dict(type="LinearLR", end=1500)], prompts=[])
    assert list(recipe_warnings(cfg, 1)) == []
