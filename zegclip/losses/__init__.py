"""Losses of class masks."""

from .dice_loss import dice_loss, present_classes
from .focal_loss import sigmoid_focal_loss
from .mask_loss import MaskLoss, binary_dice_loss, binary_focal_loss, mean_over_ranks

__all__ = [
    "MaskLoss",
    "binary_dice_loss",
    "binary_focal_loss",
    "dice_loss",
    "mean_over_ranks",
    "present_classes",
    "sigmoid_focal_loss",
]
