"""The loss of class masks: focal over all maps, dice over the maps of present classes."""

from __future__ import annotations

import torch
from mmengine.dist import all_reduce, get_world_size
from mmseg.registry import MODELS
from torch import Tensor, nn

from zegclip.vocabulary import IGNORE_INDEX

from .focal_dice_loss import focal_dice_loss, present_classes


def num_pairs(present: Tensor) -> Tensor:
    """S, the number of (image, present class) pairs in a step, averaged over processes.

    Dividing by it and letting DDP average the gradients equals dividing one process's loss over the
    whole batch by the whole batch's number of pairs. It is this number that is at least 1; the
    published code has the average be at least 1, ``clamp(num / world_size, min=1)``, so that there
    several processes do not always equal one.

    Args:
        present: of this process, ``(B, C)`` bool, see :func:`present_classes`.

    Returns:
        float32 scalar, the same in every process, at least 1 / number of processes.
    """
    pairs = present.sum().float()
    all_reduce(pairs, op="mean")
    return pairs.clamp(min=1 / get_world_size())


@MODELS.register_module()
class MaskLoss(nn.Module):
    """``focal_weight * focal + dice_weight * dice``, over S.

    ZegCLIP's non-mutually exclusive loss: a sigmoid per class, so that a pixel may be of none.
    S is the number of (image, present class) pairs, see :func:`num_pairs`. Source: ZegCLIP,
    Sec. 3.4; S and the sums: published code.

    Args:
        focal_weight: weight of the focal term (ZegCLIP: 100).
        dice_weight: weight of the dice term (1).
        ignored_as_negative: ignored pixels (background, void, and unseen ones in the inductive
            setting) are all-zero targets, as in the published code. ``False`` leaves them out of
            both terms.

    Example:
        >>> loss = MaskLoss(focal_weight=100, dice_weight=1)
        >>> loss(torch.randn(2, 15, 32, 32), torch.randint(0, 15, (2, 512, 512))).keys()
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
            logits: ``(B, C, h, w)``; they are upsampled to the label's size.
            labels: ``(B, H, W)`` integers, ``0..C-1`` or 255 (ignored).

        Returns:
            ``loss_mask`` (focal) and ``loss_dice``, weighted scalars.
        """
        valid = None if self.ignored_as_negative else labels != IGNORE_INDEX
        present = present_classes(labels, logits.shape[1])
        focal, dice = focal_dice_loss(logits, labels, present, valid)
        pairs = num_pairs(present)
        return {
            "loss_mask": self.focal_weight * focal.sum() / pairs,
            "loss_dice": self.dice_weight * dice.sum() / pairs,
        }


def binary_losses(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Focal and dice loss of one binary map per image.

    Args:
        logits: ``(B, 1, h, w)``; they are upsampled to the target's size.
        target: ``(B, H, W)`` bool.

    Returns:
        ``(B,)`` each.
    """
    focal, dice = focal_dice_loss(logits, torch.where(target, 0, -1))
    return focal[:, 0], dice[:, 0]
