"""Losses of class masks."""

from .focal_dice_loss import focal_dice_loss, present_classes
from .mask_loss import MaskLoss, binary_losses, num_pairs

__all__ = ["MaskLoss", "binary_losses", "focal_dice_loss", "num_pairs", "present_classes"]
