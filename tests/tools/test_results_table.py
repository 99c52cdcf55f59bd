"""The tables of README and docs are rendered from the recorded results."""

from __future__ import annotations

import shutil
from pathlib import Path
from statistics import harmonic_mean
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


def test_published_scores_are_typed_right_and_every_row_names_its_source() -> None:
    """hIoU is that of its parts, but for rounding and one that the paper prints wrong."""
    content = results_table.read("published")
    for row in content["papers"] + content["run_by_users"]:
        assert row["source"] and set(row["scores"]) <= set(results_table.TEST_DATA)
        for data, numbers in row["scores"].items():
            pairs = [n if isinstance(n, list) else [n] for n in numbers]
            parts = [p[0] for p in pairs[1:]]
            if len(parts) == 1 or None in parts:
                continue
            off = abs(harmonic_mean(parts[:2]) - parts[2])
            wrong = (row["method"], row["setting"], data) == ("ZegCLIP", "supervised", "context60")
            assert (off > 1) if wrong else (off < 0.42), (row, data)


def test_a_protocols_published_row_is_its_own() -> None:
    voc, context = results_table.DATA["voc"], results_table.DATA["context60"]
    found = [
        results_table.published("zegclip", setting, voc, pixels)
        for setting, pixels in results_table.SETTINGS.values()
    ]
    assert [scores and scores["hIoU"] for scores in found] == [84.3, 91.1, 86.7, 91.6]
    assert results_table.published("zegclip", "cross_dataset", context) == {
        "pAcc": None,
        "mIoU": 41.2,
    }
    fifty_nine = results_table.DATA["context59"]
    assert results_table.published("zegclip", "inductive", fifty_nine) is None


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


def test_the_comparison_has_its_pages(copy: Path) -> None:
    scores: dict[str, Any] = dict.fromkeys(results_table.COLUMNS, 50.06)
    run = {"seed": 0, **scores, "device": "CPU"}
    row = {"title": "ZegCLIP", "group": "main", "against": {}, "leaks": False, "runs": [run]}
    search = {"methods": {"zegclip": [{"rate": 0.001, "mIoU_S": 50.0}]}}
    content = {"rows": {"zegclip": row}, "rates": {"zegclip": 0.001}, "search": search}
    results_table.record("comparison", content)
    assert "| ZegCLIP | 1 | 50.1 |" in (copy / "docs" / "comparison.md").read_text()
    results = {
        name: [{"scores": {"mIoU_U": value, "per_class": {}}} for value in values]
        for name, values in (("zegclip", (50.0, 51.0, 52.0)), ("ldvc", (52.0, 53.1, 54.0)))
    }
    seeds = {name: [0, 1, 2] for name in results}
    results_table.record("analysis", {"seeds": seeds, "results": results})
    assert "**shown**: 53 / 51, +2.0" in (copy / "README.md").read_text()
    assert "| mIoU U | 51 ± 1 | 53.03 ± 1 |" in (copy / "docs" / "analysis.md").read_text()


def test_what_is_measured_without_training_stands_beside_what_is_printed(copy: Path) -> None:
    measured = {"training_free_voc": {"runs": [{"pAcc": 80.0, "mIoU": 82.16}]}}
    results_table.record("measured", measured)
    heading, _, sclip, _, ours = results_table.literature_table("training_free").splitlines()
    voc = heading.split("|").index(" PASCAL VOC 2012 (20 classes) ")
    assert [row.split("|")[voc] for row in (sclip, ours)] == [" mIoU 81.54 ", " mIoU 82.2 "]


def test_what_is_not_recorded_yet_is_empty(copy: Path) -> None:
    for name in ("analysis", "comparison", "cost", "demo"):
        (copy / "docs" / "results" / f"{name}.json").unlink()
    results_table.record("measured", {})
    assert "(not measured yet" in (copy / "docs" / "analysis.md").read_text()
    row = "| `zegclip_voc_inductive` | 94.6 / 91.9 / 77.8 / 84.3 |  |  |  |  |"
    assert row in (copy / "docs" / "results_zegclip.md").read_text()


def test_nothing_is_recorded_where_there_are_no_pages(copy: Path) -> None:
    (copy / "README.md").unlink()  # as in a wheel
    with pytest.raises(InputError, match="--record renews the pages of a clone"):
        results_table.record("measured", {})
    assert not (copy / "docs" / "results" / "measured.json").exists()


def test_a_page_without_markers_is_refused(copy: Path) -> None:
    (copy / "README.md").write_text("# title")
    with pytest.raises(InputError, match="README.md lacks the markers <!-- results: demo -->"):
        results_table.write_pages()
