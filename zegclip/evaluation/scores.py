"""The papers' numbers from one confusion matrix, and their table for the log."""

from __future__ import annotations

import io
from collections.abc import Mapping
from statistics import harmonic_mean
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from zegclip.vocabulary import IGNORE_INDEX, Vocabulary

# Keys of the scores in the papers' column order, with the papers' names.
COLUMNS = {"pAcc": "pAcc", "mIoU_S": "mIoU(S)", "mIoU_U": "mIoU(U)", "hIoU": "hIoU"}
# In the cross-dataset setting there is neither seen nor unseen.
CROSS_DATASET_COLUMNS = {"pAcc": "pAcc", "mIoU": "mIoU"}
# The split of classes that belong to another data set than the training's.
OTHER = "other data set"


def scores(confusion: np.ndarray, vocabulary: Vocabulary) -> dict[str, Any]:
    """pAcc, mIoU(S), mIoU(U), hIoU and each class's IoU and accuracy, in percent.

    Classes without a pixel in ground truth and prediction are left out of the means and listed;
    a number that does not exist (nothing but ignored pixels, say) is left out. The seen and unseen
    means come from one matrix over all classes: the generalised protocol (ZegCLIP, Sec. 4.1). In
    the cross-dataset setting nothing is told apart, and the one mean is mIoU.

    Args:
        confusion: ``(C, C)`` pixel counts, ``[ground truth, prediction]``, without ignored pixels;
            ``(C, C + 1)``: the last column counts pixels that were given no class.
        vocabulary: the classes and their split.

    Returns:
        ``pAcc``, ``mIoU_S``, ``mIoU_U``, ``hIoU`` (or ``pAcc``, ``mIoU``) as far as they exist;
        ``per_class``, by name ``IoU``, ``Acc`` (``None``: not in ground truth) and ``split``
        (``seen``, ``unseen`` or ``other data set``); ``absent``, the names left out.
    """
    confusion = np.asarray(confusion, dtype=np.int64)
    predicted = confusion.sum(0)[: len(confusion)]
    hits, labelled = confusion.diagonal(), confusion.sum(1)
    union = labelled + predicted - hits
    per_class: dict[str, dict[str, Any]] = {}
    absent: list[str] = []
    for index, name in enumerate(vocabulary.classes):
        if union[index] == 0:
            absent.append(name)
            continue
        split = "unseen" if name in vocabulary.unseen else "seen"
        per_class[name] = {
            "IoU": float(100 * hits[index] / union[index]),
            "Acc": float(100 * hits[index] / labelled[index]) if labelled[index] else None,
            "split": OTHER if vocabulary.setting == "cross_dataset" else split,
        }
    result: dict[str, Any] = {}
    if confusion.sum():
        result["pAcc"] = float(100 * hits.sum() / confusion.sum())
    means = (("mIoU_S", "seen"), ("mIoU_U", "unseen"), ("mIoU", OTHER))
    for key, split in means:
        ious = [entry["IoU"] for entry in per_class.values() if entry["split"] == split]
        if ious:
            result[key] = float(np.mean(ious))
    if "mIoU_S" in result and "mIoU_U" in result:
        result["hIoU"] = harmonic_mean([result["mIoU_S"], result["mIoU_U"]])
    return {**result, "per_class": per_class, "absent": absent}


def score_names(vocabulary: Vocabulary) -> list[str]:
    """Keys of the numbers that :func:`scores` may give for a vocabulary."""
    if vocabulary.setting == "cross_dataset":
        return list(CROSS_DATASET_COLUMNS)
    lacking = {"mIoU_U", "hIoU"} if not vocabulary.unseen else set()
    return [key for key in COLUMNS if key not in lacking]


def confusion_matrix(labels: np.ndarray, predicted: np.ndarray, num_classes: int) -> np.ndarray:
    """Pixel counts ``(C, C)``, ``[ground truth, prediction]``, of maps of one shape.

    Ignored pixels (255) are left out.
    """
    kept = labels != IGNORE_INDEX
    cells = labels[kept].astype(np.int64) * num_classes + predicted[kept]  # (8 bits are too few)
    return np.bincount(cells, minlength=num_classes**2).reshape(num_classes, num_classes)


def render_scores(summary: Mapping[str, Any]) -> str:
    """What :func:`scores` returns as text: each class, what was left out, the overall row."""
    columns = CROSS_DATASET_COLUMNS if "mIoU" in summary else COLUMNS
    overall = Table(title="all classes, in percent")
    for title in columns.values():
        overall.add_column(title, justify="right")
    overall.add_row(*(_number(summary.get(key)) for key in columns))

    classes = Table("class", "split", title="per class")
    for title in ("IoU", "Acc"):
        classes.add_column(title, justify="right")
    for name, entry in summary["per_class"].items():
        split = "UNSEEN" if entry["split"] == "unseen" else entry["split"]
        classes.add_row(name, split, _number(entry["IoU"]), _number(entry["Acc"]))

    file = io.StringIO()
    console = Console(file=file, width=100, color_system=None, markup=False, highlight=False)
    console.print(classes)
    if summary["absent"]:
        names = ", ".join(summary["absent"])
        console.print(f"left out, in neither ground truth nor prediction: {names}")
    if missing := [title for key, title in columns.items() if key not in summary]:
        lacking = {"seen", "unseen"} - {entry["split"] for entry in summary["per_class"].values()}
        why = f"no {' and '.join(sorted(lacking))} class in ground truth or prediction"
        if "pAcc" not in summary:
            why = "every pixel of the ground truth is ignored"
        console.print(f"{', '.join(missing)} left out: {why}")
    console.print(overall)
    return file.getvalue().rstrip()


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
