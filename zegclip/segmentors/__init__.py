"""The segmentor that all methods share."""

from .zero_shot_segmentor import ZeroShotSegmentor

__all__ = ["ZeroShotSegmentor"]
