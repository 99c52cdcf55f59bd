"""A trained model with the data set that it is shown on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from mmengine.dataset import pseudo_collate

from .scene import Scene


@dataclass
class Method:
    """One of the models of a figure.

    Args:
        title: over its column.
        model: a :class:`~zegclip.segmentors.ZeroShotSegmentor` in evaluation mode with the data
            set's vocabulary.
        dataset: a test data set.
        indices: of the images in ``dataset``, one a row of the figure; the same images for all
            methods of a figure, whatever the order of their data sets.
    """

    title: str
    model: Any
    dataset: Any
    indices: Sequence[int] = field(default_factory=list)

    def data(self, row: int) -> dict[str, Any]:
        """The image of a row as a batch of one, as ``model.test_step`` takes it."""
        return pseudo_collate([self.dataset[self.indices[row]]])

    @torch.no_grad()
    def predict(self, row: int) -> Any:
        """The sample of a row with ``pred_sem_seg`` and, where there is one, ``trusty_map``."""
        (sample,) = self.model.test_step(self.data(row))
        return sample

    def labels(self, row: int) -> np.ndarray:
        """The predicted label map of a row, ``(H, W)`` int64."""
        return label_map(self.predict(row))

    def scene(self, row: int, panel_height: int) -> Scene:
        """The image of a row and its ground truth."""
        sample = self.dataset[self.indices[row]]["data_samples"]
        return Scene.of(sample, self.dataset.metainfo, panel_height)


def label_map(sample: Any) -> np.ndarray:
    """The predicted label map of a sample, ``(H, W)`` int64."""
    return sample.pred_sem_seg.data[0].cpu().numpy().astype(np.int64)


def trusty_map(sample: Any) -> np.ndarray:
    """M_A of a sample, ``(H, W)`` float32, from 0 to 1."""
    return sample.trusty_map.data[0].float().cpu().numpy()


def font_size_for(panel_height: int) -> int:
    """The size of names under a picture of this height, pixels."""
    return max(12, round(panel_height / 14))
