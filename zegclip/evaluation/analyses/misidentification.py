"""Confusion of the groups: unseen pixels given a seen class, and the reverse."""

from __future__ import annotations

from typing import Any

import numpy as np

from zegclip.vocabulary import Vocabulary

from ..scores import confusion_matrix, scores
from .analysis import ANALYSES, AnalysedImage, Analysis


def group_confusion(confusion: np.ndarray, seen: np.ndarray) -> dict[str, float]:
    """How many seen and unseen pixels are given a seen or an unseen class, in percent of the group.

    Args:
        confusion: ``(C, C)`` pixel counts, ``[ground truth, prediction]``.
        seen: which classes are seen, ``(C,)`` bool.

    Returns:
        Four numbers by name; the two of a group without a pixel are left out.
    """
    shares = {}
    for name, rows in (("seen", seen), ("unseen", ~seen)):
        if total := confusion[rows].sum():
            for given, columns in (("seen", seen), ("unseen", ~seen)):
                count = confusion[rows][:, columns].sum()
                shares[f"{name}_pixels_given_{given}"] = float(100 * count / total)
    return shares


def class_confusion(confusion: np.ndarray, vocabulary: Vocabulary) -> dict[str, dict[str, Any]]:
    """For each class that has pixels: how many go to the other group, in percent.

    Args:
        confusion: as in :func:`group_confusion`.
        vocabulary: the classes.

    Returns:
        By class ``given_other_group`` and ``mostly_taken_for``, the wrong class that most go to.
    """
    seen = np.isin(np.arange(len(confusion)), vocabulary.seen_ids)
    table = {}
    for label in np.flatnonzero(confusion.sum(1)):
        row = confusion[label]
        wrong = row.copy()
        wrong[label] = 0
        table[vocabulary.classes[label]] = {
            "given_other_group": float(100 * row[seen != seen[label]].sum() / row.sum()),
            "mostly_taken_for": vocabulary.classes[wrong.argmax()] if wrong.any() else None,
        }
    return table


@ANALYSES.register_module()
class Misidentification(Analysis):
    """The scores of a test, and which pixels change the group; overall and by class."""

    section = "scores"
    needs_split = False

    def count(self, image: AnalysedImage) -> np.ndarray:
        return confusion_matrix(image.labels, image.predicted, len(self.seen))

    def result(self) -> dict[str, Any]:
        found = scores(self.counts, self.vocabulary)
        per_class, _ = found.pop("per_class"), found.pop("absent")
        if self.vocabulary.seen and self.vocabulary.unseen:
            found |= group_confusion(self.counts, self.seen)
            for name, entry in class_confusion(self.counts, self.vocabulary).items():
                per_class[name] |= entry
        return {**found, "per_class": per_class}
