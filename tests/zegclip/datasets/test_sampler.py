"""A training's samples do not depend on who loads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.dataset import RepeatDataset
from mmengine.runner import Runner

from tests.mini_models import scenes_of


def batches(dataset: Any, workers: int, skipped: int = 0) -> list[list[torch.Tensor]]:
    """The images of three batches of two."""
    sampler = dict(type="mmseg.InfiniteSampler")
    cfg = dict(dataset=dataset, sampler=sampler, batch_size=2, num_workers=workers)
    loader = Runner.build_dataloader(cfg, seed=5)
    loader.sampler.skip(2 * skipped)
    batches = iter(loader)
    return [next(batches)["inputs"] for _ in range(3 - skipped)]


@pytest.mark.parametrize("repeated", [False, True])
def test_augmentation_depends_on_seed_and_place_alone(repeated: bool, tmp_path: Path) -> None:
    dataset = scenes_of(tmp_path, "train", 4)
    dataset = RepeatDataset(dataset, times=2) if repeated else dataset
    expected = batches(dataset, workers=0)
    for found in (batches(dataset, workers=2), batches(dataset, workers=1, skipped=1)):
        for batch, same in zip(reversed(found), reversed(expected)):
            assert all(map(torch.equal, batch, same))
    images = [image for batch in expected for image in batch]
    assert all(not torch.equal(a, b) for i, a in enumerate(images) for b in images[:i])
