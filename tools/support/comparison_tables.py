"""The comparison as tables: scores, and how significant each difference is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from zegclip.evaluation import COLUMNS

from .comparison_rows import LONG
from .markdown_table import markdown, mean_std, number

TITLES = {
    "main": "The methods",
    "long": f"The methods, trained {LONG} times as long",
    "ablations": "What a method is made of",
    "settings": "Self-training, and ceilings",
    "remedies": "What might help",
}
NOTES = (
    "Mean ± standard deviation over the seeds; differences are paired by seed, with the p of a "
    "t-test (two-sided, not corrected for the number of rows), bold below 0.05. What is not "
    "trained has one run, which stands against each seed. ZegCLIP is the one that was trained "
    "likewise: as long, in the same setting, and with the same change where it has that row."
)
NOTHING = "(not measured yet: `python tools/compare.py --record`)"
# Values of a number by the seed of their run; without training there is one, of no seed.
Values = Mapping[int | None, float]


class Difference(NamedTuple):
    """The difference of two rows' numbers, paired by seed.

    Attributes:
        mean: of ours - theirs over the seeds.
        std: standard deviation of the differences (n - 1); 0 where there is one seed.
        p: of a two-sided paired t-test; NaN where there is one seed.
    """

    mean: float
    std: float
    p: float

    def __str__(self) -> str:
        mean = f"{self.mean:+.2g}" if abs(self.mean) < 1 else f"{self.mean:+.1f}"
        if math.isnan(self.p):
            return mean
        std = f"{self.std:.1g}" if self.std < 1 else f"{self.std:.1f}"
        return f"{mean} ± {std} (p {'< 0.001' if self.p < 0.001 else f'{self.p:.3f}'})"


def difference(ours: Values, theirs: Values) -> Difference | None:
    """Compare two rows; ``None``: no seed has both."""
    ours, theirs = (_for_all(*pair) for pair in ((ours, theirs), (theirs, ours)))
    seeds = sorted(set(ours) & set(theirs), key=str)
    if not seeds:
        return None
    one, other = (np.array([values[seed] for seed in seeds]) for values in (ours, theirs))
    each = one - other
    if len(seeds) < 2 or not each.std():
        return Difference(each.mean(), 0.0, math.nan)
    return Difference(each.mean(), each.std(ddof=1), stats.ttest_rel(one, other).pvalue)


def _for_all(values: Values, others: Values) -> Values:
    """Values by seed; the one number of what is not trained stands beside every seed of others."""
    return dict.fromkeys(others, values[None]) if set(values) == {None} else values


def tables(results: Mapping[str, Any]) -> str:
    """A table of each group of rows; see tools/compare.py for the JSON."""
    if not results:
        return NOTHING
    rows = {name: row for name, row in results["rows"].items() if row["runs"]}
    groups = [group for group in TITLES if any(row["group"] == group for row in rows.values())]
    return "\n\n".join([NOTES, *(_group(group, rows) for group in groups), _search(results)])


def _group(group: str, rows: Mapping[str, Any]) -> str:
    """A heading, the rows' scores and differences, and on what they were computed."""
    shown = [row for row in rows.values() if row["group"] == group]
    others = list(dict.fromkeys(heading for row in shown for heading in row["against"]))
    compared = [key for key in COLUMNS if key != "pAcc"]
    headings = [f"{COLUMNS[key]} − {other}" for other in others for key in compared]
    table = [["", "seeds", *COLUMNS.values(), *headings]]
    for row in shown:
        cells = [
            _bold(difference(_scores(row, key), _scores(rows.get(row["against"].get(other)), key)))
            for other in others
            for key in compared
        ]
        title = row["title"] + " (**leaks** unseen masks)" * row["leaks"]
        table.append([title, str(len(row["runs"])), *mean_std(row["runs"]), *cells])
    devices = {run["device"] for row in shown for run in row["runs"]}
    note = f"\n\nComputed on {' and '.join(sorted(devices))}." if len(devices) > 1 else ""
    return f"## {TITLES[group]}\n\n{markdown(table)}{note}"


def _scores(row: Mapping[str, Any] | None, key: str) -> dict[int | None, float]:
    return {run["seed"]: run[key] for run in (row or {"runs": []})["runs"] if key in run}


def _bold(found: Difference | None) -> str:
    return "" if found is None else f"**{found}**" if found.p < 0.05 else str(found)


def _search(results: Mapping[str, Any]) -> str:
    """mIoU(S) of each method's search at each learning rate; that of the chosen rate is bold."""
    searches = results["search"]["methods"]
    rates = sorted({run["rate"] for runs in searches.values() for run in runs})
    table = [["mIoU(S) at learning rate", *(f"{rate:g}" for rate in rates)]]
    for method, runs in searches.items():
        found = {run["rate"]: number(run.get("mIoU_S")) for run in runs}
        found[results["rates"][method]] = f"**{found.get(results['rates'][method], '')}**"
        table.append([method, *(found.get(rate, "") for rate in rates)])
    return f"## The search\n\nOn scenes and a seed of their own.\n\n{markdown(table)}"
