"""The loss of class masks: focal over all maps, dice over the maps of present classes."""

from __future__ import annotations

import torch
import torch.distributed as dist
from mmseg.registry import MODELS
from torch import Tensor, nn

from zegclip.vocabulary import IGNORE_INDEX

from .dice_loss import dice_loss, present_classes
from .focal_loss import sigmoid_focal_loss


def mean_over_ranks(count: Tensor) -> Tensor:
    """Average a count over all processes, at least 1.

    Args:
        count: scalar of this process.

    Returns:
        float32 scalar, the same on every process. Dividing by it and letting DDP average the
        gradients equals dividing one process's loss over the whole batch by the whole count.
    """
    count = count.float()
    if dist.is_available() and dist.is_initialized():
        count = count.clone()
        dist.all_reduce(count)
        count /= dist.get_world_size()
    return count.clamp(min=1)


@MODELS.register_module()
class MaskLoss(nn.Module):
    """``focal_weight * focal + dice_weight * dice``, over S.

    S is the number of (image, present class) pairs in the global batch, averaged over ranks,
    at least 1. Source: ZegCLIP, Sec. 3.4; S and the sums: published code.

    Args:
        focal_weight: weight of the focal term (ZegCLIP: 100).
        dice_weight: weight of the dice term (1).
        ignored_as_negative: ignored pixels (background, void, and unseen ones in the inductive
            setting) are all-zero targets, as in the published code. ``False`` leaves them out of
            both terms.

    Example:
        >>> loss = MaskLoss(focal_weight=100, dice_weight=1)
        >>> loss(torch.randn(2, 15, 64, 64), torch.randint(0, 15, (2, 64, 64))).keys()
        dict_keys(['loss_mask', 'loss_dice'])
    """

    def __init__(
        self,
        focal_weight: float = 100.0,
        dice_weight: float = 1.0,
        ignored_as_negative: bool = True,
    ) -> None:
        super().__init__()
        self.focal_weight = focal_weight
        self.dice_weight = dice_weight
        self.ignored_as_negative = ignored_as_negative

    def forward(self, logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Compute both terms.

        Args:
            logits: ``(B, C, H, W)`` at the label's size.
            labels: ``(B, H, W)`` integers, ``0..C-1`` or 255 (ignored).

        Returns:
            ``loss_mask`` (focal) and ``loss_dice``, weighted scalars.
        """
        logits = logits.float()  # under autocast the sums over 512x512 pixels need float32
        valid = None if self.ignored_as_negative else labels != IGNORE_INDEX
        present = present_classes(labels, logits.shape[1])
        pairs = mean_over_ranks(present.sum())
        focal = sigmoid_focal_loss(logits, labels, valid).sum() / pairs
        dice = dice_loss(logits, labels, present, valid).sum() / pairs
        return {"loss_mask": self.focal_weight * focal, "loss_dice": self.dice_weight * dice}

    def extra_repr(self) -> str:
        return (
            f"focal_weight={self.focal_weight}, dice_weight={self.dice_weight}, "
            f"ignored_as_negative={self.ignored_as_negative}"
        )


def binary_focal_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Focal loss of one binary map per image, mean over pixels.

    Args:
        logits: ``(B, 1, H, W)``.
        target: ``(B, H, W)`` bool.

    Returns:
        ``(B,)``.
    """
    labels = torch.where(target, 0, -1)
    return sigmoid_focal_loss(logits.float(), labels)[:, 0]


def binary_dice_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Dice loss of one binary map per image; shapes as in :func:`binary_focal_loss`."""
    labels = torch.where(target, 0, -1)
    present = torch.ones(len(logits), 1, dtype=torch.bool, device=logits.device)
    return dice_loss(logits.float(), labels, present)
