"""How many pieces a prediction cuts objects into."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from zegclip.vocabulary import IGNORE_INDEX

from .analysis import ANALYSES, AnalysedImage, Analysis

LEAST_SHARE = 0.001  # of the image's pixels: what is smaller is no object


def fragment_counts(labels: np.ndarray, predicted: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Connected pieces of one predicted class within connected pieces of one label (objects).

    Args:
        labels: ``(H, W)``, 255 = ignored.
        predicted: ``(H, W)``.
        seen: ``(C,)`` bool.

    Returns:
        ``(2, 4)`` int64, of seen and of unseen classes: objects, fragments, pixels outside of
        their object's largest fragment (stray), pixels. Connected: by sides or corners.
    """
    counts = np.zeros((2, 4), np.int64)
    for label in np.unique(labels[labels != IGNORE_INDEX]):
        for inside, box in _components(labels == label, LEAST_SHARE * labels.size):
            within = predicted[box]
            sizes = [
                int(piece.sum())
                for given in np.unique(within[inside])
                for piece, _ in _components(inside & (within == given))
            ]
            counts[int(not seen[label])] += [1, len(sizes), sum(sizes) - max(sizes), sum(sizes)]
    return counts


def _components(mask: np.ndarray, least: float = 1) -> list[tuple[np.ndarray, Any]]:
    """Connected components of at least so many pixels, each within its bounding box."""
    _, numbers, statistics, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    found = []
    for number, (left, top, width, height, pixels) in enumerate(statistics):
        box = np.s_[top : top + height, left : left + width]
        if number and pixels >= least:  # (0 is what is not in the mask)
            found.append((numbers[box] == number, box))
    return found


@ANALYSES.register_module()
class Fragments(Analysis):
    """Fragments per object and the share of stray pixels."""

    section = "fragments"
    needs_split = False

    def segment(self, image: AnalysedImage) -> np.ndarray:
        """The label map that is looked at, ``(H, W)``."""
        return image.predicted

    def count(self, image: AnalysedImage) -> np.ndarray:
        return fragment_counts(image.labels, self.segment(image), self.seen)

    def result(self) -> dict[str, Any]:
        rows = {"seen": self.counts[0], "unseen": self.counts[1], "all": self.counts.sum(0)}
        return {
            name: {
                "objects": int(objects),
                "fragments_per_object": float(fragments / objects),
                "stray_pixels": float(100 * stray / pixels),
            }
            for name, (objects, fragments, stray, pixels) in rows.items()
            if objects
        }
