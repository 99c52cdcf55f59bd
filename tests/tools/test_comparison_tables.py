"""The tables of the comparison, from made-up results."""

from __future__ import annotations

from typing import Any

import pytest
from scipy import stats
from support.comparison_tables import NOTHING, difference, tables

from zegclip.evaluation import COLUMNS


def row(
    title: str, group: str, scores: list[float], against: dict[str, str] | None = None, **more: Any
) -> dict[str, Any]:
    device = more.pop("device", "a GPU")
    seeds = more.pop("seeds", range(len(scores)))
    runs = [
        {"seed": seed, **dict.fromkeys(COLUMNS, score), "device": device}
        for seed, score in zip(seeds, scores)
    ]
    return (
        {"title": title, "group": group, "against": against or {}, "leaks": False}
        | more
        | {"runs": runs}
    )


def results(**rows: dict[str, Any]) -> dict[str, Any]:
    tried = [{"rate": 1e-3, "mIoU_S": 50.0}, {"rate": 2e-3, "mIoU_S": 51.0}, {"rate": 4e-3}]
    return {"rows": rows, "rates": {"m": 2e-3}, "search": {"methods": {"m": tried}}}


def test_differences_are_paired_by_seed() -> None:
    ours, theirs = {0: 50.0, 1: 60.0, 2: 71.0, 4: 0.0}, {2: 70.0, 1: 58.0, 0: 49.0, 3: 0.0}
    found = difference(ours, theirs)
    assert found is not None
    expected = stats.ttest_rel([50, 60, 71], [49, 58, 70]).pvalue
    assert found.mean == pytest.approx(4 / 3) and found.p == pytest.approx(expected)
    assert str(found) == f"+1.3 ± 0.6 (p {expected:.3f})"
    # Without training there is one number, which stands beside every seed's.
    once = difference({None: 50.0}, {0: 51.0, 1: 52.0})
    assert once is not None and once.mean == -1.5
    assert once.p == pytest.approx(stats.ttest_1samp([51, 52], 50).pvalue)


@pytest.mark.parametrize(
    ("ours", "theirs", "text"),
    [
        ({0: 50.0}, {0: 49.5}, "+0.5"),  # one seed says nothing of chance
        ({0: 50.0, 1: 51.0}, {0: 49.0, 1: 50.0}, "+1.0"),
        ({0: 50.0, 1: 50.01}, {0: 60.0, 1: 60.0}, "-10.0 ± 0.007 (p < 0.001)"),
    ],
)
def test_text_of_a_difference(
    ours: dict[int | None, float], theirs: dict[int | None, float], text: str
) -> None:
    assert str(difference(ours, theirs)) == text


def test_nothing_in_common_is_no_difference() -> None:
    assert difference({0: 1.0}, {1: 1.0}) is None and difference({}, {}) is None


def test_groups_have_tables_of_their_own_with_bold_significance() -> None:
    against = {"ZegCLIP": "zegclip"}
    text = tables(
        results(
            free=row("Untrained", "main", [40.0], against, seeds=[None]),
            zegclip=row("ZegCLIP", "main", [50.0, 51.0, 52.0]),
            better=row("Better", "main", [52.0, 53.1, 53.9], against, device="CPU"),
            alike=row("Alike", "ablations", [50.5, 50.4, 52.3], against, leaks=True),
            begun=row("Begun", "remedies", [], against),
        )
    )
    _, main, ablations, search = text.split("## ")
    lines = main.splitlines()
    assert lines[2].endswith("| mIoU(S) − ZegCLIP | mIoU(U) − ZegCLIP | hIoU − ZegCLIP |")
    assert lines[4].startswith("| Untrained | 1 | 40.0 |") and "**-11.0 ± 1.0 (p " in lines[4]
    assert lines[5].endswith("| 51.0 ± 1.0 |  |  |  |")
    assert "| **+2.0 ± 0.1 (p " in lines[6]
    assert lines[8] == "Computed on CPU and a GPU."
    assert "| Alike (**leaks** unseen masks) | 3 |" in ablations and "+0.067 ± 0.6" in ablations
    assert "**+" not in ablations and "Computed" not in ablations and "Begun" not in text
    assert search.splitlines()[-1] == "| m | 50.0 | **51.0** | – |"
    assert tables({}) == NOTHING
