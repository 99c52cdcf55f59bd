"""Focal, dice and their sum, against plain formulas over upsampled maps and one-hot targets."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import sigmoid_focal_loss as torchvision_focal

from zegclip.losses import MaskLoss, binary_losses, focal_dice_loss, present_classes
from zegclip.losses.focal_dice_loss import _PIXELS_AT_ONCE

SIZE = (12, 10)


def batch(dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 4, 3, 5, generator=generator, dtype=dtype) * 3
    labels = torch.randint(0, 5, (2, *SIZE), generator=generator)
    labels[labels == 4] = 255
    labels[1][labels[1] == 2] = 255
    return logits, labels


def one_hot(labels: Tensor, num_classes: int = 4) -> Tensor:
    return torch.stack([labels == c for c in range(num_classes)], dim=1).float()


def plain(logits: Tensor, labels: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor]:
    """Both losses of all maps, (B, C), by autograd."""
    logits = F.interpolate(logits, size=labels.shape[-2:], mode="bilinear", align_corners=False)
    target, probability = one_hot(labels).to(logits), logits.sigmoid()
    counted = torch.ones_like(target) if valid is None else valid[:, None].expand_as(target)
    focal = torchvision_focal(logits, target, alpha=0.25, gamma=2) * counted
    overlap = (probability * target * counted).sum((2, 3))
    total = ((probability + target) * counted).sum((2, 3))
    dice = 1 - (2 * overlap + 1) / (total + 1)
    return focal.sum((2, 3)) / counted.sum((2, 3)), dice * present_classes(labels, 4)


@pytest.mark.parametrize("at_once", [1, 2**20])
@pytest.mark.parametrize("leave_out", [False, True])
def test_equals_the_plain_way(
    leave_out: bool, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(_PIXELS_AT_ONCE, "cpu", at_once)
    logits, labels = batch(torch.float64)
    valid = labels != 255 if leave_out else None
    weights = torch.rand(2, 2, 4, dtype=torch.float64)
    found, expected = [], []
    for losses, results in ((focal_dice_loss, found), (plain, expected)):
        leaf = logits.clone().requires_grad_()
        if losses is plain:
            focal, dice = plain(leaf, labels, valid)
        else:
            focal, dice = focal_dice_loss(leaf, labels, present_classes(labels, 4), valid)
        (gradient,) = torch.autograd.grad((focal * weights[0] + dice * weights[1]).sum(), leaf)
        results += [focal, dice, gradient]
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-9)


def test_second_derivatives_are_refused() -> None:
    logits, labels = batch()
    logits.requires_grad_()
    focal, _ = focal_dice_loss(logits, labels, present_classes(labels, 4))
    (gradient,) = torch.autograd.grad(focal.square().sum(), logits, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


def test_finite_for_extreme_logits() -> None:
    logits = torch.tensor([-200.0, 200.0]).view(1, 2, 1, 1).requires_grad_()
    labels = torch.zeros(1, 1, 1, dtype=torch.long)
    focal, dice = focal_dice_loss(logits, labels, present_classes(labels, 2))
    (focal.sum() + dice.sum()).backward()
    assert focal.isfinite().all() and logits.grad is not None and logits.grad.isfinite().all()


def test_present_classes() -> None:
    _, labels = batch()
    assert torch.equal(present_classes(labels, 4), one_hot(labels).flatten(2).any(-1))
    assert not present_classes(torch.tensor([[[255, 4, -1]]]), 4).any()


def test_mask_loss_weights_and_divides_by_present_pairs() -> None:
    logits, labels = batch()
    pairs = present_classes(labels, 4).sum()
    losses = MaskLoss(focal_weight=20, dice_weight=3)(logits, labels)
    focal, dice = plain(logits, labels, None)
    torch.testing.assert_close(losses["loss_mask"], 20 * focal.sum() / pairs)
    torch.testing.assert_close(losses["loss_dice"], 3 * dice.sum() / pairs)


def test_ignored_pixels_count_only_as_negatives_and_only_by_choice() -> None:
    _, labels = batch()
    logits = torch.randn(2, 4, *SIZE)
    changed = logits + 5.0 * (labels == 255)[:, None]
    for as_negative in (True, False):
        loss = MaskLoss(ignored_as_negative=as_negative)
        before, after = loss(logits, labels), loss(changed, labels)
        same = all(torch.allclose(before[name], after[name]) for name in before)
        assert same is not as_negative


def test_batch_without_any_class() -> None:
    losses = MaskLoss()(torch.randn(2, 4, 3, 3), torch.full((2, 3, 3), 255))
    assert losses["loss_dice"] == 0
    assert losses["loss_mask"] > 0 and losses["loss_mask"].isfinite()
    left_out = MaskLoss(ignored_as_negative=False)
    assert left_out(torch.randn(1, 4, 3, 3), torch.full((1, 3, 3), 255))["loss_mask"] == 0


def test_binary_losses() -> None:
    logits, labels = batch()
    focal, dice = binary_losses(logits[:, 1:2], labels == 1)
    all_focal, all_dice = plain(logits, labels, None)
    torch.testing.assert_close((focal, dice), (all_focal[:, 1], all_dice[:, 1]))
    _, dice = binary_losses(logits[:, :1], torch.zeros(2, *SIZE, dtype=torch.bool))
    assert dice.gt(0.5).all()  # also of a map without a positive pixel


def test_loss_under_autocast_is_computed_in_float32() -> None:
    logits, labels = batch()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses = MaskLoss()(logits.bfloat16(), labels)
    torch.testing.assert_close(losses, MaskLoss()(logits.bfloat16().float(), labels))
