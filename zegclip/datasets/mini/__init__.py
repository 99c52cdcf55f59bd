"""The mini benchmark: VOC's classes as emoji in drawn scenes, made on first use."""

from .dataset import MiniSceneDataset

__all__ = ["MiniSceneDataset"]
