"""Dice loss over the maps of the classes that a label map contains."""

from __future__ import annotations

import torch
from torch import Tensor


def present_classes(labels: Tensor, num_classes: int) -> Tensor:
    """Which classes each image's label map contains.

    Args:
        labels: ``(B, H, W)`` integers; values outside ``0..num_classes-1`` are no class.
        num_classes: C.

    Returns:
        ``(B, C)`` bool.
    """
    flat = labels.flatten(1)
    flat = torch.where((flat >= 0) & (flat < num_classes), flat, num_classes)
    present = torch.zeros(len(flat), num_classes + 1, dtype=torch.bool, device=labels.device)
    return present.scatter_(1, flat, True)[:, :num_classes]


def dice_loss(
    logits: Tensor, labels: Tensor, present: Tensor, valid: Tensor | None = None
) -> Tensor:
    """``1 - (2 sum(p g) + 1) / (sum(p) + sum(g) + 1)`` of every present (image, class) map.

    Args:
        logits: ``(B, C, H, W)``.
        labels: ``(B, H, W)`` integers.
        present: ``(B, C)`` bool, the maps that count (see :func:`present_classes`).
        valid: ``(B, H, W)`` bool; pixels that count at all. ``None``: all of them.

    Returns:
        ``(P,)``, one loss per present map, in the row order of ``present.nonzero()``.

    Source: ZegCLIP, Sec. 3.4 (weights and the smoothing of 1: published code).
    """
    image, category = present.nonzero(as_tuple=True)
    probability = logits[image, category].sigmoid()
    target = labels[image] == category[:, None, None]
    if valid is not None:
        target = target & valid[image]
        probability = probability * valid[image]
    overlap = (probability * target).sum((-2, -1))
    total = probability.sum((-2, -1)) + target.sum((-2, -1))
    return 1 - (2 * overlap + 1) / (total + 1)
