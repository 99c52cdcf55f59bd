"""Focal and dice loss of class maps, block by block.

A batch holds one map per image and class at the crop's size: gigabytes for COCO-Stuff, almost all
of it negatives. Here a few maps at a time are upsampled, and their loss and its gradient, which is
known in closed form, are brought back to the patch grid while they are in the cache: nothing of the
size of all maps is made or kept.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

ALPHA = 0.25  # of the focal loss, whose gamma is 2 (ZegCLIP, published code)
# Pixels of the maps that are worked on together, by kind of device: a CPU's cache is small.
_PIXELS_AT_ONCE = {"cpu": 2**20, "cuda": 2**26}


def present_classes(labels: Tensor, num_classes: int) -> Tensor:
    """Which classes each image's label map contains.

    Args:
        labels: ``(B, H, W)`` int64; values outside ``0..num_classes-1`` are no class.
        num_classes: C.

    Returns:
        ``(B, C)`` bool.
    """
    flat = labels.flatten(1)
    flat = torch.where((flat >= 0) & (flat < num_classes), flat, num_classes)
    present = torch.zeros(len(flat), num_classes + 1, dtype=torch.bool, device=labels.device)
    return present.scatter_(1, flat, True)[:, :num_classes]


def focal_dice_loss(
    logits: Tensor, labels: Tensor, present: Tensor | None = None, valid: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Both losses of every (image, class) map, upsampled to the label's size (bilinear).

    Args:
        logits: ``(B, C, h, w)``.
        labels: ``(B, H, W)`` int64; a value outside ``0..C-1`` is a pixel of no class, a
            negative for every map.
        present: ``(B, C)`` bool, the maps that have positives and a dice loss (see
            :func:`present_classes`). ``None``: all of them.
        valid: ``(B, H, W)`` bool; pixels that count at all, those of a class among them.
            ``None``: all of them.

    Returns:
        Focal loss ``(B, C)``, the mean over each map's (valid) pixels; dice loss ``(B, C)``,
        ``1 - (2 sum(p g) + 1) / (sum(p) + sum(g) + 1)``, 0 where a class is not present. There is
        no second derivative: asking for it is an error.

    Source: RetinaNet, Eq. 5 (focal loss); ZegCLIP, Sec. 3.4 (both on class maps; weights and the
    smoothing of 1: published code).
    """
    # Under autocast the sums over 512x512 pixels need float32.
    with torch.autocast(logits.device.type, enabled=False):
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        return _FocalDice.apply(logits, labels, present, valid)


class _FocalDice(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, labels: Tensor, present: Tensor | None, valid: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        num_classes = logits.shape[1]
        maps = logits.flatten(0, 1)  # (B * C, h, w)
        index = torch.arange(len(maps), device=maps.device)
        image, category = index // num_classes, index % num_classes
        # Bilinear upsampling is a product with a matrix on each side, its transpose another.
        rows, columns = (
            _interpolation(small, large, maps)
            for small, large in zip(logits.shape[-2:], labels.shape[-2:], strict=True)
        )
        at_once = _PIXELS_AT_ONCE.get(maps.device.type, _PIXELS_AT_ONCE["cuda"])
        at_once = max(1, at_once // labels[0].numel())
        focal, dice = maps.new_empty(len(maps)), maps.new_zeros(len(maps))
        focal_slope, dice_slope = torch.empty_like(maps), torch.zeros_like(maps)

        # Every map as if all its targets were zero.
        for block in index.split(at_once):
            x = rows @ maps[block] @ columns.T
            p, cost = x.sigmoid(), F.softplus(x)
            if valid is not None:
                p *= valid[image[block]]  # at 0 there is neither loss nor slope
            loss, slope = _focal(p, cost, 1 - ALPHA)
            focal[block] = loss.sum((-2, -1))
            focal_slope[block] = rows.T @ (slope @ columns)

        # Those of present classes: exchange the negative's loss for the positive's at their pixels.
        with_positives = index if present is None else present.flatten().nonzero()[:, 0]
        for block in with_positives.split(at_once):
            x = rows @ maps[block] @ columns.T
            target = labels[image[block]] == category[block, None, None]
            p, cost = x.sigmoid(), F.softplus(x)
            negative, negative_slope = _focal(p, cost, 1 - ALPHA)
            positive, positive_slope = _focal(1 - p, cost - x, ALPHA)
            focal[block] += (positive - negative).mul_(target).sum((-2, -1))
            slope = (positive_slope + negative_slope).mul_(target)
            focal_slope[block] -= rows.T @ (slope @ columns)
            counts = p if valid is None else p * valid[image[block]]
            overlap = (p * target).sum((-2, -1), keepdim=True)
            total = counts.sum((-2, -1), keepdim=True) + target.sum((-2, -1), keepdim=True) + 1
            share = (2 * overlap + 1) / total
            dice[block] = 1 - share[:, 0, 0]
            slope = (share - 2 * target) / total * counts * (1 - p)
            dice_slope[block] = rows.T @ (slope @ columns)

        pixels = labels[0].numel()
        if valid is not None:  # of each map's image
            pixels = valid.flatten(1).sum(1).clamp(min=1)[image]
            focal_slope /= pixels[:, None, None]
        else:
            focal_slope /= pixels
        ctx.save_for_backward(focal_slope.view_as(logits), dice_slope.view_as(logits))
        return (focal / pixels).view(logits.shape[:2]), dice.view(logits.shape[:2])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, focal: Tensor, dice: Tensor) -> tuple[Tensor, None, None, None]:
        focal_slope, dice_slope = ctx.saved_tensors
        gradient = focal_slope * focal[..., None, None] + dice_slope * dice[..., None, None]
        return gradient, None, None, None


def _focal(p: Tensor, cost: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """Focal loss ``alpha p² cost`` of pixels, and its derivative (RetinaNet, Eq. 5, gamma 2).

    Args:
        p: probability of the wrong answer: sigmoid(x) for a negative, sigmoid(-x) for a positive.
        cost: its cross entropy, ``-log(1 - p)``.
        alpha: weight.

    Returns:
        The loss, and its derivative in x for a negative, in -x for a positive.
    """
    weight = (p * p).mul_(alpha)
    return weight * cost, (1 - p).mul_(cost).mul_(2).add_(p).mul_(weight)


def _interpolation(small: int, large: int, like: Tensor) -> Tensor:
    """The matrix ``(large, small)`` of bilinear interpolation along one side."""
    identity = torch.eye(small, dtype=like.dtype, device=like.device)[None, None]
    return F.interpolate(identity, size=(large, small), mode="bilinear", align_corners=False)[0, 0]
