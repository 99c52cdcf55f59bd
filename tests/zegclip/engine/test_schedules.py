"""The schedules follow the recipe: their learning rate, iteration by iteration."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import LinearLR, PolyLR

SCHEDULES = Path(__file__).parents[3] / "configs" / "_base_" / "schedules"


@pytest.mark.parametrize("length", [20000, 40000, 80000])
def test_schedules_differ_in_their_length_alone(length: int) -> None:
    cfg = Config.fromfile(SCHEDULES / f"schedule_{length // 1000}k.py")
    assert cfg.train_cfg.max_iters == length
    assert length % cfg.train_cfg.val_interval == 0
    assert cfg.default_hooks.checkpoint.interval == cfg.train_cfg.val_interval
    assert cfg.optim_wrapper.optimizer == dict(
        type="AdamW", lr=2e-4, betas=(0.9, 0.999), weight_decay=0.01, fused=True
    )
    shortest = Config.fromfile(SCHEDULES / "schedule_20k.py")
    assert cfg.param_scheduler == shortest.param_scheduler


def test_rate_is_warm_up_times_decay() -> None:
    cfg, length = Config.fromfile(SCHEDULES / "schedule_20k.py"), 20000
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2e-4)
    linear, poly = cfg.param_scheduler
    assert (linear.pop("type"), poly.pop("type")) == ("LinearLR", "PolyLR")
    # As mmengine's runner does, the decay ends with the run.
    schedulers = [LinearLR(optimizer, **linear), PolyLR(optimizer, end=length, **poly)]
    for step in range(length):
        rate = optimizer.param_groups[0]["lr"]
        if step in (0, 1, 10, 750, 1500, length // 2, length - 1):
            decay = (2e-4 - 1e-6) * (1 - step / (length - 1)) ** 0.9 + 1e-6
            warm_up = min(1.0, 1e-6 + (1 - 1e-6) * step / 1500)
            assert rate == pytest.approx(decay * warm_up, rel=0.02, abs=1e-9)
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
    assert rate < 2e-6
