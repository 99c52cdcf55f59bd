"""The README's table is rendered from the recorded results."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tools import results_table

ROOT = Path(__file__).parents[2]


def test_readme_shows_what_was_recorded() -> None:
    rendered = results_table.table(json.loads(results_table.RESULTS.read_text()))
    readme = (ROOT / "README.md").read_text()
    assert results_table.with_table(readme, rendered) == readme, (
        "run: python tools/results_table.py --write"
    )


def test_a_readme_without_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="lacks the markers"):
        results_table.with_table("# title", "| table |")
