"""A table as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def markdown(rows: Iterable[Sequence[str]]) -> str:
    """Rows of cells, the first of them the heading."""
    heading, *body = ("| " + " | ".join(row) + " |" for row in rows)
    return "\n".join([heading, "|" + "---|" * (heading.count(" | ") + 1), *body])
