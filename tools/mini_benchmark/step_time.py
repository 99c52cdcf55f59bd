"""How long a training step takes, of several models measured in turns."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmseg.registry import MODELS


def seconds_per_step(
    configs: Mapping[str, Config], steps: int = 10, warmup: int = 2
) -> dict[str, float]:
    """Median seconds of a training step: forward, losses, backward, optimizer.

    All models step in turns, so that whatever else the machine does falls on all of them; data
    loading is not in it.

    Args:
        configs: by name, each complete (model, training data, optimizer).
        steps: how many are measured.
        warmup: how many are made before, and not measured.
    """
    runs = {name: _prepare(config) for name, config in configs.items()}
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for step in range(warmup + steps):
        for name, (model, optimizer, batch) in runs.items():
            data = deepcopy(batch)
            _synchronize()
            started = time.perf_counter()
            model.train_step(data, optimizer)
            _synchronize()
            if step >= warmup:
                taken[name].append(time.perf_counter() - started)
    return {name: statistics.median(seconds) for name, seconds in taken.items()}


def _prepare(config: Config) -> tuple[Any, Any, Any]:
    """A model on its device, its optimizer, and one batch."""
    init_default_scope(config.get("default_scope", "mmseg"))
    loader_config = deepcopy(config.train_dataloader)
    loader_config.update(num_workers=0, persistent_workers=False)
    loader = Runner.build_dataloader(loader_config, seed=0)
    model = MODELS.build(config.model)
    model.init_weights()
    model.dataset_meta = loader.dataset.metainfo
    model = model.to(get_device()).train()
    return model, build_optim_wrapper(model, config.optim_wrapper), next(iter(loader))


def _synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
