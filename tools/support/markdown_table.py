"""A table as Markdown, and the numbers in its cells."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from zegclip.evaluation import COLUMNS


def markdown(rows: Iterable[Sequence[str]]) -> str:
    """Rows of cells, the first of them the heading."""
    heading, *body = ("| " + " | ".join(row) + " |" for row in rows)
    return "\n".join([heading, "|" + "---|" * (heading.count(" | ") + 1), *body])


def mean_std(runs: Sequence[Mapping[str, Any]], columns: Iterable[str] = COLUMNS) -> list[str]:
    """Mean ± standard deviation (n - 1) over runs, by score; one run: its number.

    Scores are in percent; where a run lacks one, ``–`` stands for all.
    """
    table = pd.DataFrame(runs).reindex(columns=list(columns)).astype(float)
    both = zip(table.mean(skipna=False), table.std(skipna=False), strict=True)
    return [number(mean) + ("" if pd.isna(std) else f" ± {std:.1f}") for mean, std in both]


def number(value: float | Sequence[float] | None) -> str:
    """A number with one decimal; ``–`` for none; a pair is mean ± deviation."""
    if isinstance(value, Sequence):
        return " ± ".join(map(number, value))
    return "–" if value is None or pd.isna(value) else f"{value:.1f}"
