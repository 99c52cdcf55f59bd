"""hIoU against gamma, and the oracle that knows which pixels are of seen classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from zegclip.vocabulary import IGNORE_INDEX

from ..scores import confusion_matrix, scores
from .analysis import ANALYSES, AnalysedImage, Analysis, Best

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GAMMAS = np.arange(-25, 51) / 50


def gamma_counts(labels: np.ndarray, best: Best, gammas: np.ndarray, classes: int) -> np.ndarray:
    """Count an image's pixels so that the confusion matrix at every gamma can be summed from it.

    Arg-max after gamma is subtracted from all seen classes depends on two candidates alone, the
    best seen and the best unseen class: the seen one wins where its lead is at least gamma.

    Args:
        labels: ``(H, W)``, 255 = ignored.
        best: the two candidates of each pixel.
        gammas: ``(G,)``, ascending.
        classes: the number of classes, C.

    Returns:
        ``(G + 1, C, C)`` int64: ``[how many gammas the lead reaches, label, candidate]``; each
        pixel is counted for both of its candidates.
    """
    kept = labels != IGNORE_INDEX
    reached = np.searchsorted(gammas, (best.seen - best.unseen)[kept], side="right")
    cell = (reached * classes + labels[kept]) * classes
    size = (len(gammas) + 1) * classes * classes
    seen, unseen = (
        np.bincount(cell + candidate[kept], minlength=size)
        for candidate in (best.seen_class, best.unseen_class)
    )
    return (seen + unseen).reshape(-1, classes, classes)


def confusion_at(counts: np.ndarray, index: int, seen: np.ndarray) -> np.ndarray:
    """The confusion matrix ``(C, C)`` at a gamma, from what :func:`gamma_counts` returns.

    Args:
        counts: the sum over images.
        index: the gamma's place in ``gammas``.
        seen: which classes are seen, ``(C,)`` bool.
    """
    return np.where(seen, counts[index + 1 :].sum(0), counts[: index + 1].sum(0))


def confusion_of_oracle(counts: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """As :func:`confusion_at`, by an oracle that knows whether a pixel's label is a seen class."""
    return counts.sum(0) * (seen[:, None] == seen)


def share_closed(before: float, after: float, oracle: float) -> float | None:
    """What ``after`` closes of the gap from ``before`` to the oracle, in percent."""
    return 100 * (after - before) / (oracle - before) if oracle > before else None


@ANALYSES.register_module()
class Calibration(Analysis):
    """hIoU without calibration, with gamma alone, as tested, and of the oracle."""

    section = "calibration"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        inductive = self.vocabulary.setting == "inductive"
        self.gamma = self.model.decode_head.protocol(inductive)["gamma"]
        self.gammas = np.union1d(GAMMAS, [self.gamma])

    def count(self, image: AnalysedImage) -> np.ndarray:
        counts = gamma_counts(image.labels, image.best, self.gammas, len(self.seen))
        tested = confusion_matrix(image.labels, image.predicted, len(self.seen))
        return np.concatenate([counts, tested[None]])

    def result(self) -> dict[str, Any]:
        def h_iou(confusion: np.ndarray) -> float:
            return scores(confusion, self.vocabulary).get("hIoU", 0.0)

        counts, every = self.counts[:-1], range(len(self.gammas))
        curve = [h_iou(confusion_at(counts, index, self.seen)) for index in every]
        plain, gamma = (curve[list(self.gammas).index(each)] for each in (0, self.gamma))
        best, tested = max(curve), h_iou(self.counts[-1])
        oracle = h_iou(confusion_of_oracle(counts, self.seen))
        return {
            "hIoU_without_calibration": plain,
            "hIoU_with_gamma_alone": gamma,
            "hIoU_with_best_gamma": best,
            "hIoU_as_tested": tested,
            "hIoU_of_oracle": oracle,
            "gamma": self.gamma,
            "best_gamma": float(self.gammas[np.argmax(curve)]),
            "closed_by_gamma": share_closed(plain, gamma, oracle),
            "closed_beyond_gamma": share_closed(gamma, tested, oracle),
            "closed_beyond_best_gamma": share_closed(best, tested, oracle),
            "curve": {"gamma": self.gammas.tolist(), "hIoU": curve},
        }

    @staticmethod
    def draw(axes: Axes, results: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        for title, runs in results.items():
            curves = np.mean([run["curve"]["hIoU"] for run in runs], axis=0)
            (line,) = axes.plot(runs[0]["curve"]["gamma"], curves, label=title)
            tested, oracle = (
                float(np.mean([run[key] for run in runs]))
                for key in ("hIoU_as_tested", "hIoU_of_oracle")
            )
            axes.plot(runs[0]["gamma"], tested, "o", color=line.get_color())
            axes.axhline(oracle, linestyle=":", color=line.get_color())
        title = "hIoU by γ alone; point: as tested; dotted: oracle"
        axes.set(title=title, xlabel="γ", ylabel="hIoU")
