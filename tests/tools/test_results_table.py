"""The README's tables are rendered from the recorded results."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tools import results_table

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", results_table.TABLES)
def test_readme_shows_what_was_recorded(name: str) -> None:
    results = json.loads((results_table.RESULTS / f"{name}.json").read_text())
    rendered = results_table.TABLES[name](results)
    readme = (ROOT / "README.md").read_text()
    assert results_table.with_table(readme, name, rendered) == readme, (
        "run: python tools/results_table.py --write"
    )


def test_comparison_shows_gains_and_leaks() -> None:
    def entry(title: str, published: float | None, leaks: bool = False) -> dict[str, object]:
        scores = {key: {"mean": 50.06, "std": 0.34} for key in results_table.SCORES}
        return {
            **scores,
            "title": title,
            "leaks": leaks,
            "learnable_parameters": 1_234_567,
            "seconds_per_step": 0.5,
            "published_mIoU_U_on_VOC": published,
        }

    variants = {
        "zegclip": entry("ZegCLIP", 77.8),
        "other": entry("Other", 82.3),
        "leaking": entry("Leaking", None, leaks=True),
    }
    results = {"variants": variants, "device": "one CPU core"}
    heading, _, *rows = results_table.mini_table(results).splitlines()
    assert heading.count("|") == 9 and "a step on one CPU core" in heading
    scores = "50.1 ± 0.3 | 50.1 ± 0.3 | 50.1 ± 0.3 | 50.1 ± 0.3"
    assert rows[0] == f"| ZegCLIP | {scores} | 1.23 M | 0.50 s | 77.8 |"
    assert rows[1].endswith("| 82.3 (+4.5) |")
    assert rows[2].startswith("| Leaking (**leaks** unseen masks) |") and rows[2].endswith("|  |")


def test_a_readme_without_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="lacks the markers <!-- results: demo -->"):
        results_table.with_table("# title", "demo", "| table |")
