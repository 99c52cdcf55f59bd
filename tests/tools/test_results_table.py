"""The tables of README and docs are rendered from the recorded results."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import results_table

from zegclip.errors import InputError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the pages and the recorded results, which the tools write into."""
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    shutil.copy(ROOT / "README.md", tmp_path)
    monkeypatch.setattr(results_table, "ROOT", tmp_path)
    return tmp_path


def test_pages_show_what_was_recorded() -> None:
    for page, text in results_table.pages().items():
        assert (ROOT / page).read_text() == text, "run: python tools/results_table.py"


def test_recording_renews_the_pages(copy: Path) -> None:
    results_table.main([])
    before = (copy / "docs" / "results_zegclip.md").read_text()
    scores: dict[str, Any] = dict.fromkeys(results_table.COLUMNS, 90.0)
    results_table.record("measured", {"zegclip_voc_inductive": {"runs": [scores, scores]}})
    after = (copy / "docs" / "results_zegclip.md").read_text()
    changed = [line for line in after.splitlines() if line not in before.splitlines()]
    (row,) = changed
    theirs, ours = "94.6 / 91.9 / 77.8 / 84.3", " / ".join(["90.0 ± 0.0"] * 4)
    assert row.startswith(f"| `zegclip_voc_inductive` | {theirs} | {ours} | 2 | 8.04 M (13.82 M")


def test_comparison_shows_gains_and_leaks_and_how_rates_were_chosen(copy: Path) -> None:
    common = {
        "learnable_parameters": 1_234_567,
        "seconds_per_step": 0.5,
        "runs": [dict.fromkeys(results_table.COLUMNS, 50.06)] * 2,
    }
    variants = {
        key: common | {"title": title, "leaks": leaks, "published_mIoU_U_on_VOC": published}
        for key, title, leaks, published in (
            ("zegclip", "ZegCLIP", False, 77.8),
            ("other", "Other", False, 82.3),
            ("leaking", "Leaking", True, None),
        )
    }
    results = {"variants": variants, "device": "a GPU", "search": {"chosen_by": "mIoU_S"}}
    results_table.record("mini", results)
    heading, _, *rows, _, note = results_table.mini_table().splitlines()
    assert "a step on a GPU" in heading
    scores = " | ".join(["50.1 ± 0.0"] * 4)
    assert rows[0] == f"| ZegCLIP | {scores} | 1.23 M | 0.50 s | 77.8 |"
    assert rows[1].endswith("| 82.3 (+4.5) |")
    assert rows[2].startswith("| Leaking (**leaks** unseen masks) |") and rows[2].endswith("|  |")
    assert note == "Learning rates were chosen by mIoU(S) on scenes of their own."


def test_settings_show_the_gain_over_the_inductive_run(copy: Path) -> None:
    def entry(setting: str, *unseen: float) -> dict[str, Any]:
        runs = [dict.fromkeys(results_table.COLUMNS, value) for value in unseen]
        return {"method": "zegclip", "setting": setting, "runs": runs}

    rows = {
        "zegclip_mini_inductive": entry("inductive", 44.0, 46.0),
        "zegclip_mini_transductive": entry("transductive", 61.3),
    }
    results_table.record("settings", {"rows": rows})
    _, _, inductive, transductive = results_table.settings_table().splitlines()
    assert "45.0 ± 1.4" in inductive and inductive.endswith("|  | 2 |")
    assert "±" not in transductive and transductive.endswith("| +16.3 | 1 |")


def test_a_page_without_markers_is_refused(copy: Path) -> None:
    (copy / "README.md").write_text("# title")
    with pytest.raises(InputError, match="README.md lacks the markers <!-- results: demo -->"):
        results_table.write_pages()
