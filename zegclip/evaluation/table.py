"""Scores as tables for the log."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

# Keys of the scores in the papers' column order, with the papers' names.
COLUMNS = {"pAcc": "pAcc", "mIoU_S": "mIoU(S)", "mIoU_U": "mIoU(U)", "hIoU": "hIoU"}
# In the cross-dataset setting there is neither seen nor unseen.
CROSS_DATASET_COLUMNS = {"pAcc": "pAcc", "mIoU": "mIoU"}


def render_scores(summary: Mapping[str, Any], width: int = 100) -> str:
    """The overall row, each class, and what was left out, as text.

    Args:
        summary: what :func:`~zegclip.evaluation.scores.scores` returns.
        width: characters a line.
    """
    columns = CROSS_DATASET_COLUMNS if "mIoU" in summary else COLUMNS
    overall = Table(title="all classes, in percent")
    for title in columns.values():
        overall.add_column(title, justify="right")
    overall.add_row(*(_number(summary.get(key)) for key in columns))

    classes = Table(title="per class")
    classes.add_column("class")
    classes.add_column("split")
    for title in ("IoU", "Acc"):
        classes.add_column(title, justify="right")
    for name, entry in summary["per_class"].items():
        split = "UNSEEN" if entry["split"] == "unseen" else entry["split"]
        classes.add_row(name, split, _number(entry["IoU"]), _number(entry["Acc"]))

    file = io.StringIO()
    console = Console(file=file, width=width, color_system=None, markup=False, highlight=False)
    console.print(classes)
    if summary["absent"]:
        names = ", ".join(summary["absent"])
        console.print(f"left out, in neither ground truth nor prediction: {names}")
    missing = [title for key, title in columns.items() if key not in summary]
    if missing:
        console.print(f"{', '.join(missing)} left out: {_why(summary)}")
    console.print(overall)
    return file.getvalue().rstrip()


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _why(summary: Mapping[str, Any]) -> str:
    if "pAcc" not in summary:
        return "every pixel of the ground truth is ignored"
    splits = {entry["split"] for entry in summary["per_class"].values()}
    lacking = " and ".join(sorted({"seen", "unseen"} - splits))
    return f"no {lacking} class in ground truth or prediction"
