"""Sigmoid focal loss over mask logits and an integer label map, without one-hot targets."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable


class _NegativeFocalSum(torch.autograd.Function):
    """Sum of the focal loss of a map whose targets are all zero.

    Almost every target of a mask logit is zero, and a batch holds one map per class and image
    at full resolution. Autograd would keep several tensors of that size; this keeps one, the
    gradient, which is known in closed form while the loss is computed. Its own derivative is not
    known, so a second one is an error.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, weight: Tensor | None, alpha: float, gamma: float) -> Any:
        probability = logits.sigmoid()
        cost = F.softplus(logits)  # = -log(1 - p)
        modulator = probability.pow(gamma).mul_(1 - alpha)
        if weight is not None:
            modulator *= weight
        # d/dx [p^g * softplus(x)] = p^g * (g * (1 - p) * softplus(x) + p)
        ctx.save_for_backward(
            (1 - probability).mul_(cost).mul_(gamma).add_(probability).mul_(modulator)
            if ctx.needs_input_grad[0]
            else None
        )
        return cost.mul_(modulator).sum((-2, -1))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> Any:
        (gradient,) = ctx.saved_tensors
        return gradient * grad_outputs[0][..., None, None], None, None, None


def sigmoid_focal_loss(
    logits: Tensor,
    labels: Tensor,
    valid: Tensor | None = None,
    alpha: float = 0.25,
    gamma: float = 2.0,
) -> Tensor:
    """Focal loss of every (image, class) map against the label map, mean over pixels.

    Args:
        logits: ``(B, C, H, W)``.
        labels: ``(B, H, W)`` integers; a value outside ``0..C-1`` is a pixel of no class, a
            negative for every map.
        valid: ``(B, H, W)`` bool; pixels that count at all. ``None``: all of them.
        alpha: weight of the positives.
        gamma: focusing exponent.

    Returns:
        ``(B, C)``: the mean over each map's (valid) pixels.

    Source: RetinaNet's focal loss, Eq. 5; its use on class maps: ZegCLIP, Sec. 3.4.
    """
    num_classes = logits.shape[1]
    weight = None if valid is None else valid[:, None].to(logits.dtype)
    total = _NegativeFocalSum.apply(logits, weight, alpha, gamma)

    # At the pixel of a class, exchange the negative's cost for the positive's.
    has_class = (labels >= 0) & (labels < num_classes)
    if valid is not None:
        has_class = has_class & valid
    index = labels.clamp(0, num_classes - 1)[:, None]
    own = logits.gather(1, index)[:, 0]
    probability = own.sigmoid()
    positive = alpha * (1 - probability).pow(gamma) * F.softplus(-own)
    negative = (1 - alpha) * probability.pow(gamma) * F.softplus(own)
    exchange = (positive - negative) * has_class
    correction = torch.zeros_like(total).scatter_add(1, index.flatten(1), exchange.flatten(1))

    if valid is None:
        return (total + correction) / labels[0].numel()
    return (total + correction) / valid.flatten(1).sum(1, keepdim=True).clamp(min=1)
