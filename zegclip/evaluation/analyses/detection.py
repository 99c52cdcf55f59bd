"""A map as a detector of seen pixels: AUROC and calibration, from histograms."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np

from zegclip.vocabulary import IGNORE_INDEX

from .analysis import ANALYSES, AnalysedImage, Analysis

BINS = 10_000


def detector_counts(
    values: np.ndarray, labels: np.ndarray, seen: np.ndarray, bins: int = BINS
) -> np.ndarray:
    """Histograms of a map on pixels of seen classes, of unseen ones, and on ignored pixels.

    Args:
        values: ``(H, W)``, 0..1.
        labels: ``(H, W)``, 255 = ignored.
        seen: ``(C,)`` bool.
        bins: B.

    Returns:
        ``(3, B)`` int64.
    """
    kinds = np.full(IGNORE_INDEX + 1, 2)
    kinds[: len(seen)] = ~seen
    places = np.minimum((values * bins).astype(np.int64), bins - 1)
    return np.bincount((kinds[labels] * bins + places).ravel(), minlength=3 * bins).reshape(3, bins)


def auroc(positives: np.ndarray, negatives: np.ndarray) -> float | None:
    """How often a positive pixel is above a negative one, in percent; equal bins count half.

    Args:
        positives: ``(B,)`` counts by ascending value.
        negatives: likewise.

    Returns:
        ``None`` where there is none of either.
    """
    below = np.cumsum(negatives) - negatives / 2
    pairs = float(positives.sum()) * float(negatives.sum())
    return float(100 * (positives * below).sum() / pairs) if pairs else None


def reliability(positives: np.ndarray, negatives: np.ndarray, bins: int = 10) -> dict[str, list]:
    """What a map says and what is so, bin by bin.

    Args:
        positives: ``(B,)`` counts by ascending value, which ``bins`` divides.
        negatives: likewise.
        bins: of equal width; those without a pixel are left out.

    Returns:
        ``said``, the mean value, ``true``, the share of positives, both 0..1, and ``pixels``.
    """
    centres = (np.arange(len(positives)) + 0.5) / len(positives)
    every = positives + negatives
    pixels, said, true = (
        each.reshape(bins, -1).sum(1) for each in (every, every * centres, positives)
    )
    filled = pixels > 0
    said, true = said[filled] / pixels[filled], true[filled] / pixels[filled]
    return {"said": said.tolist(), "true": true.tolist(), "pixels": pixels[filled].tolist()}


def calibration_error(bins: dict[str, list]) -> float:
    """Mean distance between said and true over all pixels (ECE), in percent.

    Args:
        bins: from :func:`reliability`.
    """
    said, true, pixels = (np.array(bins[key]) for key in ("said", "true", "pixels"))
    return float(100 * (abs(said - true) * pixels).sum() / max(pixels.sum(), 1))


class Detector(Analysis):
    """Evaluates a map of P(seen): on labelled pixels, and with ignored ones as negatives."""

    probability = True  # or merely a score: then nothing is said of its calibration

    @abstractmethod
    def values(self, image: AnalysedImage) -> np.ndarray:
        """``(H, W)``, 0..1, high where a class is seen."""

    def count(self, image: AnalysedImage) -> np.ndarray:
        return detector_counts(self.values(image), image.labels, self.seen)

    def result(self) -> dict[str, Any]:
        seen, unseen, ignored = self.counts
        found: dict[str, Any] = {}
        for name, others in (("on_objects", unseen), ("with_background", unseen + ignored)):
            found[name] = {"AUROC": auroc(seen, others)}
            if self.probability:
                bins = reliability(seen, others)
                found[name] |= {"calibration_error": calibration_error(bins), "curve": bins}
        return found


@ANALYSES.register_module()
class Margin(Detector):
    """The lead of the best seen class over the best unseen one, which any method has."""

    section = "margin"
    probability = False

    def values(self, image: AnalysedImage) -> np.ndarray:
        return (1 + image.best.seen - image.best.unseen) / 2
