"""Batches with next to nothing to learn from: losses and gradients of all methods are finite."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import Tensor

from tests.heads.test_distributed import CASES, batch, build

IGNORED, SEEN = 255, 0


def one_class(labels: Tensor, unseen: Tensor) -> None:
    labels.fill_(SEEN), unseen.fill_(0)


def one_image_ignored(labels: Tensor, unseen: Tensor) -> None:
    labels[0], unseen[0] = IGNORED, 0


def all_ignored(labels: Tensor, unseen: Tensor) -> None:
    labels.fill_(IGNORED), unseen.fill_(0)


def all_unseen(labels: Tensor, unseen: Tensor) -> None:
    labels.fill_(IGNORED), unseen.fill_(1)


@pytest.mark.parametrize("change", [one_class, one_image_ignored, all_ignored, all_unseen])
@pytest.mark.parametrize(("method", "setting"), CASES)
def test_losses_are_finite(
    method: str, setting: str, change: Callable[[Tensor, Tensor], None]
) -> None:
    images, samples = batch()
    labels = torch.stack([each.gt_sem_seg.data for each in samples])
    unseen = torch.stack([each.gt_unseen_map.data for each in samples])
    change(labels, unseen)
    maps = [(PixelData(data=a), PixelData(data=b)) for a, b in zip(labels, unseen)]
    samples = [SegDataSample(gt_sem_seg=a, gt_unseen_map=b) for a, b in maps]
    model = build(method, setting)
    losses = torch.stack(list(model(images, samples, mode="loss").values()))
    losses.sum().backward()
    assert losses.isfinite().all() and (losses >= 0).all()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert gradients and all(each.isfinite().all() for each in gradients)
