"""Focal, dice and their sum, against plain formulas."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import sigmoid_focal_loss as torchvision_focal

from zegclip.losses import (
    MaskLoss,
    binary_dice_loss,
    binary_focal_loss,
    dice_loss,
    present_classes,
    sigmoid_focal_loss,
)


def batch(dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 4, 6, 5, generator=generator, dtype=dtype) * 3
    labels = torch.randint(0, 5, (2, 6, 5), generator=generator)
    labels[labels == 4] = 255
    labels[1][labels[1] == 2] = 255
    return logits, labels


def one_hot(labels: Tensor, num_classes: int = 4) -> Tensor:
    return torch.stack([(labels == c) for c in range(num_classes)], dim=1).float()


@pytest.mark.parametrize("gamma", [1.0, 2.0, 3.0])
def test_focal_equals_torchvisions_on_one_hot_targets(gamma: float) -> None:
    logits, labels = batch()
    expected = torchvision_focal(logits, one_hot(labels), alpha=0.25, gamma=gamma)
    ours = sigmoid_focal_loss(logits, labels, gamma=gamma)
    torch.testing.assert_close(ours, expected.mean((-2, -1)))


def test_focal_leaves_out_invalid_pixels() -> None:
    logits, labels = batch()
    valid = labels != 255
    full = torchvision_focal(logits, one_hot(labels), alpha=0.25, gamma=2)
    expected = (full * valid[:, None]).sum((-2, -1)) / valid.sum((-2, -1))[:, None]
    torch.testing.assert_close(sigmoid_focal_loss(logits, labels, valid), expected)


def test_focal_gradient() -> None:
    logits, labels = batch(torch.float64)
    logits.requires_grad_()
    for valid in (None, labels != 255):
        assert torch.autograd.gradcheck(lambda x: sigmoid_focal_loss(x, labels, valid), logits)  # noqa: B023


def test_focal_is_finite_for_extreme_logits() -> None:
    logits = torch.tensor([-200.0, 200.0]).view(1, 2, 1, 1).requires_grad_()
    loss = sigmoid_focal_loss(logits, torch.zeros(1, 1, 1, dtype=torch.long)).sum()
    loss.backward()
    assert loss.isfinite() and logits.grad is not None and logits.grad.isfinite().all()


def test_present_classes() -> None:
    _, labels = batch()
    expected = one_hot(labels).flatten(2).any(-1)
    assert torch.equal(present_classes(labels, 4), expected)
    assert not present_classes(torch.full((1, 2, 2), 255), 4).any()


def test_dice_of_present_maps() -> None:
    logits, labels = batch()
    target, probability = one_hot(labels), logits.sigmoid()
    present = present_classes(labels, 4)
    expected = [
        1
        - (2 * (probability[b, c] * target[b, c]).sum() + 1)
        / (probability[b, c].sum() + target[b, c].sum() + 1)
        for b in range(2)
        for c in range(4)
        if present[b, c]
    ]
    torch.testing.assert_close(dice_loss(logits, labels, present), torch.stack(expected))


def test_mask_loss_weights_and_divides_by_present_pairs() -> None:
    logits, labels = batch()
    pairs = present_classes(labels, 4).sum()
    losses = MaskLoss(focal_weight=20, dice_weight=3)(logits, labels)
    focal = torchvision_focal(logits, one_hot(labels)).mean((-2, -1)).sum()
    torch.testing.assert_close(losses["loss_mask"], 20 * focal / pairs)
    dice = dice_loss(logits, labels, present_classes(labels, 4)).sum()
    torch.testing.assert_close(losses["loss_dice"], 3 * dice / pairs)


def test_ignored_pixels_count_only_as_negatives_and_only_by_choice() -> None:
    logits, labels = batch()
    changed = logits + 5.0 * (labels == 255)[:, None]
    for as_negative in (True, False):
        loss = MaskLoss(ignored_as_negative=as_negative)
        before, after = loss(logits, labels), loss(changed, labels)
        same = all(torch.allclose(before[name], after[name]) for name in before)
        assert same is not as_negative


def test_batch_without_any_class() -> None:
    logits = torch.randn(2, 4, 3, 3, requires_grad=True)
    losses = MaskLoss()(logits, torch.full((2, 3, 3), 255))
    assert losses["loss_dice"] == 0
    assert losses["loss_mask"] > 0 and losses["loss_mask"].isfinite()


def test_binary_losses() -> None:
    logits, labels = batch()
    target = labels == 1
    torch.testing.assert_close(
        binary_focal_loss(logits[:, :1], target),
        torchvision_focal(logits[:, 0], target.float()).mean((-2, -1)),
    )
    probability = logits[:, 0].sigmoid()
    overlap, total = (probability * target).sum((1, 2)), (probability + target).sum((1, 2))
    torch.testing.assert_close(
        binary_dice_loss(logits[:, :1], target), 1 - (2 * overlap + 1) / (total + 1)
    )


def test_loss_under_autocast_is_computed_in_float32() -> None:
    logits, labels = batch()
    low = F.interpolate(logits.bfloat16(), scale_factor=4)
    high = F.interpolate(labels[:, None].float(), scale_factor=4)[:, 0].long()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses = MaskLoss()(low, high)
    torch.testing.assert_close(losses, MaskLoss()(low.float(), high))
