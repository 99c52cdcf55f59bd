"""Scores near the boundaries of the ground truth, and away from them."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from ..scores import COLUMNS, CROSS_DATASET_COLUMNS, confusion_matrix, scores
from .analysis import ANALYSES, AnalysedImage, Analysis


def near_boundary(labels: np.ndarray, share: float = 0.02) -> np.ndarray:
    """Which pixels are near a boundary between two labels, ignored ones included.

    Args:
        labels: ``(H, W)``.
        share: how near, of the image's diagonal.

    Returns:
        ``(H, W)`` bool.
    """
    edge = np.zeros(labels.shape, bool)
    rows, columns = labels[1:] != labels[:-1], labels[:, 1:] != labels[:, :-1]
    for part, differs in (
        (np.s_[1:], rows), (np.s_[:-1], rows), (np.s_[:, 1:], columns), (np.s_[:, :-1], columns)
    ):  # fmt: skip
        edge[part] |= differs
    if not edge.any():
        return edge
    distance = cv2.distanceTransform((~edge).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return distance <= share * np.hypot(*labels.shape)


@ANALYSES.register_module()
class Boundaries(Analysis):
    """The scores of pixels within 2 % of the diagonal of a boundary, and those of the others."""

    section = "boundaries"
    needs_split = False

    def count(self, image: AnalysedImage) -> np.ndarray:
        near = near_boundary(image.labels)
        masked = ((image.labels[mask], image.predicted[mask]) for mask in (near, ~near))
        return np.stack([confusion_matrix(*each, len(self.seen)) for each in masked])

    def result(self) -> dict[str, Any]:
        found = (scores(confusion, self.vocabulary) for confusion in self.counts)
        kept = COLUMNS | CROSS_DATASET_COLUMNS
        return {
            name: {key: each[key] for key in kept if key in each}
            for name, each in zip(("boundary", "interior"), found)
        }
