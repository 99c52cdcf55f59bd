"""Which probability tells a class from none of them: mIoU with background against a threshold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from zegclip.vocabulary import IGNORE_INDEX, Vocabulary, background_id

from ..scores import scores
from .analysis import ANALYSES, AnalysedImage, Analysis

if TYPE_CHECKING:
    from matplotlib.axes import Axes

THRESHOLDS = np.arange(100) / 100


@ANALYSES.register_module()
class BackgroundThreshold(Analysis):
    """mIoU over classes and background, at each threshold of a class's probability.

    A pixel whose most probable class is less probable than the threshold is background.

    Without calibration, as a person's own words are asked for. What counts as background is what
    the data set ignores: right for the mini benchmark, about right for VOC without its class of
    that name (void counts as background), not where something else is ignored.
    """

    section = "background"
    needs_split = False

    def applies(self) -> bool:
        return super().applies() and background_id(self.vocabulary.classes) is None

    def count(self, image: AnalysedImage) -> np.ndarray:
        """Pixels by the number of thresholds that their best class reaches, label and best class.

        Returns:
            ``(T + 1, C + 1, C)`` int64; the last label is background.
        """
        classes = len(self.vocabulary.classes)
        best, label = image.best_of(range(classes))
        reached = np.searchsorted(THRESHOLDS, best, side="right")
        truth = np.where(image.labels == IGNORE_INDEX, classes, image.labels)
        cell = (reached * (classes + 1) + truth) * classes + label
        shape = (len(THRESHOLDS) + 1, classes + 1, classes)
        return np.bincount(cell.ravel(), minlength=int(np.prod(shape))).reshape(shape)

    def result(self) -> dict[str, Any]:
        curve = [self._miou(index) for index in range(len(THRESHOLDS))]
        return {
            "mIoU_without_threshold": curve[0],
            "best_mIoU": max(curve),
            "best_threshold": float(THRESHOLDS[np.argmax(curve)]),
            "curve": {"threshold": THRESHOLDS.tolist(), "mIoU": curve},
        }

    def _miou(self, index: int) -> float:
        kept, left = self.counts[index + 1 :].sum(0), self.counts[: index + 1].sum(0)
        confusion = np.concatenate([kept, left.sum(1, keepdims=True)], axis=1)
        names = (*self.vocabulary.classes, "background")
        return scores(confusion, Vocabulary(names, setting="cross_dataset"))["mIoU"]

    @staticmethod
    def draw(axes: Axes, results: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        for title, runs in results.items():
            curves = np.mean([run["curve"]["mIoU"] for run in runs], axis=0)
            axes.plot(runs[0]["curve"]["threshold"], curves, label=title)
        axes.set(title="mIoU with background", xlabel="least probability", ylabel="mIoU")
