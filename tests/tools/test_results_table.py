"""The README's tables are rendered from the recorded results."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tools import results_table

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("table", results_table.TABLES, ids=lambda t: f"{t.page} {t.name}")
def test_pages_show_what_was_recorded(table: results_table.ResultsTable) -> None:
    page = (ROOT / table.page).read_text()
    assert results_table.with_table(page, table.name, table.rendered()) == page, (
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


def test_settings_show_the_gain_over_the_inductive_run() -> None:
    def entry(setting: str, unseen: float, runs: int) -> dict[str, object]:
        scores = {key: {"mean": unseen, "std": 0.5} for key in results_table.SCORES}
        return {"method": "zegclip", "setting": setting, "runs": [{}] * runs, **scores}

    rows = {
        "zegclip_mini_inductive": entry("inductive", 45.0, 2),
        "zegclip_mini_transductive": entry("transductive", 61.3, 1),
    }
    _, _, inductive, transductive = results_table.settings_table({"rows": rows}).splitlines()
    assert "45.0 ± 0.5" in inductive and inductive.endswith("|  | 2 |")
    assert "±" not in transductive and transductive.endswith("| +16.3 | 1 |")


def test_ours_is_empty_until_measured() -> None:
    published = json.loads((results_table.RESULTS / "published.json").read_text())
    costs = json.loads((results_table.RESULTS / "cost.json").read_text())
    name = "zegclip_voc_inductive"
    line = next(
        line
        for line in results_table.benchmark_table("zegclip", published, {}, costs).splitlines()
        if name in line
    )
    theirs = "94.6 / 91.9 / 77.8 / 84.3"
    assert line == f"| `{name}` | {theirs} |  |  | 10.67 M (13.82 M as published) | 110.2 |"
    scores = {key: {"mean": 90.0, "std": None} for key in results_table.SCORES}
    measured = {name: {"scores": scores, "runs": [{}]}}
    table = results_table.benchmark_table("zegclip", published, measured, costs)
    assert f"| `{name}` | {theirs} | 90.0 / 90.0 / 90.0 / 90.0 | 1 |" in table


def test_a_page_without_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="lacks the markers <!-- results: demo -->"):
        results_table.with_table("# title", "demo", "| table |")
