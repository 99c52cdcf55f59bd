#!/usr/bin/env python
"""Render the recorded results (docs/results/*.json) as the tables of the README and docs/.

Prints the tables; with --write, puts each into its page between its markers.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "docs" / "results"
SCORES = ("pAcc", "mIoU_S", "mIoU_U", "hIoU")
HEADINGS = ["pAcc", "mIoU(S)", "mIoU(U)", "hIoU"]


def markdown(rows: list[list[str]]) -> str:
    """Rows of cells, the first of them the heading."""
    heading, *body = ("| " + " | ".join(row) + " |" for row in rows)
    return "\n".join([heading, "|" + "---|" * len(rows[0]), *body])


def demo_table(results: dict[str, dict[str, Any]]) -> str:
    """The recorded demos, one row a config.

    Args:
        results: what ``tools/demo.py --record`` writes: by config name, the scores in percent,
            ``minutes_of_training`` and ``seed``.
    """
    rows = [["config", *HEADINGS, "minutes of training", "seed"]]
    for name, entry in results.items():
        scores = [f"{entry[key]:.1f}" for key in SCORES]
        minutes = f"{entry['minutes_of_training']:.1f}"
        rows.append([f"`{name}`", *scores, minutes, str(entry["seed"])])
    return markdown(rows)


def mini_table(results: dict[str, Any]) -> str:
    """The methods side by side, one row a variant, mean ± standard deviation over the seeds.

    Args:
        results: what ``tools/compare_methods.py`` writes.
    """
    variants = results["variants"]
    baseline = variants["zegclip"]
    step = f"a step on {results['device']}"
    rows = [["method", *HEADINGS, "learnable", step, "paper's mIoU(U), VOC 2012"]]
    for entry in variants.values():
        cells = [f"{entry[key]['mean']:.1f} ± {entry[key]['std']:.1f}" for key in SCORES]
        cells.append(f"{entry['learnable_parameters'] / 1e6:.2f} M")
        cells.append(f"{entry['seconds_per_step']:.2f} s")
        published, ours = entry["published_mIoU_U_on_VOC"], baseline["published_mIoU_U_on_VOC"]
        if published is None:
            cells.append("")
        else:
            gain = "" if entry is baseline else f" ({published - ours:+.1f})"
            cells.append(f"{published:.1f}{gain}")
        title = entry["title"] + (" (**leaks** unseen masks)" if entry["leaks"] else "")
        rows.append([title, *cells])
    return markdown(rows)


def settings_table(results: dict[str, Any]) -> str:
    """Inductive beside transductive, mean ± standard deviation over the seeds.

    Args:
        results: what ``tools/compare_settings.py`` writes.
    """
    rows = [["config", *HEADINGS, "gain in mIoU(U)", "seeds"]]
    for name, entry in results["rows"].items():
        base = results["rows"].get(f"{entry['method']}_mini_inductive")
        gain = ""
        if base is not None and base is not entry:
            gain = f"{entry['mIoU_U']['mean'] - base['mIoU_U']['mean']:+.1f}"
        several = len(entry["runs"]) > 1
        scores = [
            f"{entry[key]['mean']:.1f}" + (f" ± {entry[key]['std']:.1f}" if several else "")
            for key in SCORES
        ]
        rows.append([f"`{name}`", *scores, gain, str(len(entry["runs"]))])
    return markdown(rows)


DATA = {
    "voc": "PASCAL VOC 2012 (20 classes)",
    "coco": "COCO-Stuff 164K (171 classes)",
    "context": "PASCAL Context (59 classes)",
}
TITLES = {"zegclip": "ZegCLIP", "tagclip": "TagCLIP", "ldvc": "LDVC"}


def benchmark_table(
    method: str,
    published: list[dict[str, Any]],
    measured: dict[str, Any],
    costs: dict[str, Any],
) -> str:
    """A method's configs with the published numbers, ours where measured, and the cost.

    Args:
        method: ``zegclip``, ``tagclip`` or ``ldvc``.
        published: rows of docs/results/published.json.
        measured: what ``tools/summarize.py --record`` writes, by config name.
        costs: what ``tools/get_flops.py --record`` writes, by config name.
    """
    scores = " / ".join(HEADINGS)
    rows = [["config", f"published: {scores}", f"ours: {scores}", "runs", "learnable", "GFLOPs"]]
    for setting in ("inductive", "transductive", "supervised"):
        for data, dataset in DATA.items():
            name = f"{method}_{data}_{setting}"
            theirs = [
                row
                for row in published
                if row["method"] == TITLES[method]
                and row["setting"] == setting
                and row["dataset"] == dataset
            ]
            cost = costs[f"{method}_{data}_inductive"]
            learnable = f"{cost['learnable']['total'] / 1e6:.2f} M"
            counted = cost["learnable_as_published"]
            if counted is not None and counted - cost["learnable"]["total"] > 1e5:
                learnable += f" ({counted / 1e6:.2f} M as published)"
            entry = measured.get(name)
            rows.append(
                [
                    f"`{name}`",
                    four([row[key] for row in theirs for key in SCORES]),
                    four([] if entry is None else [_mean_std(entry, key) for key in SCORES]),
                    "" if entry is None else str(len(entry["runs"])),
                    learnable,
                    f"{cost['gflops']['total']:.1f}",
                ]
            )
    for target in ("voc", "context", "ade"):
        name = f"{method}_coco_to_{target}"
        entry = measured.get(name)
        ours = ""
        if entry is not None:
            ours = f"pAcc {_mean_std(entry, 'pAcc')}, mIoU {_mean_std(entry, 'mIoU')}"
        runs = "" if entry is None else str(len(entry["runs"]))
        rows.append([f"`{name}`", "", ours, runs, "", ""])
    return markdown(rows)


def _mean_std(entry: dict[str, Any], key: str) -> str | None:
    found = entry["scores"].get(key)
    if found is None:
        return None
    return f"{found['mean']:.1f}" + ("" if found["std"] is None else f" ± {found['std']:.1f}")


def four(values: list[float | str | None]) -> str:
    """Four scores in a cell; empty where there are none."""
    texts = [
        value if isinstance(value, str) else "–" if value is None else f"{value:.1f}"
        for value in values
    ]
    return " / ".join(texts)


def literature_table(published: list[dict[str, Any]]) -> str:
    """Every published row: pAcc / mIoU(S) / mIoU(U) / hIoU on the three data sets.

    Args:
        published: rows of docs/results/published.json.
    """
    rows = [["method", "setting", *DATA.values(), "source"]]
    for method, setting in dict.fromkeys((row["method"], row["setting"]) for row in published):
        own = [row for row in published if (row["method"], row["setting"]) == (method, setting)]
        cells = [
            four([row[key] for row in own if row["dataset"] == dataset for key in SCORES])
            for dataset in DATA.values()
        ]
        rows.append([method, setting, *cells, own[0]["source"]])
    return markdown(rows)


@dataclass(frozen=True)
class ResultsTable:
    """A table in a page.

    Attributes:
        page: the file, from the repository's root.
        name: in the markers.
        files: of docs/results that it is rendered from; those that are not there are ``{}``.
        render: from their contents to Markdown.
    """

    page: str
    name: str
    files: tuple[str, ...]
    render: Callable[..., str]

    def rendered(self) -> str:
        """The table as it should stand in the page."""
        paths = [RESULTS / file for file in self.files]
        return self.render(*(json.loads(p.read_text()) if p.is_file() else {} for p in paths))


TABLES = [
    ResultsTable("README.md", "demo", ("demo.json",), demo_table),
    ResultsTable("README.md", "mini", ("mini.json",), mini_table),
    ResultsTable("README.md", "settings", ("settings.json",), settings_table),
]
for _method in TITLES:
    _page = f"docs/results_{_method}.md"
    _files = ("published.json", "measured.json", "cost.json")
    TABLES += [
        ResultsTable(_page, "benchmarks", _files, partial(benchmark_table, _method)),
        ResultsTable(_page, "literature", ("published.json",), literature_table),
    ]


def with_table(page: str, name: str, rendered: str) -> str:
    """A page's text with the table between its markers replaced.

    Raises:
        ValueError: a marker is missing.
    """
    begin, end = f"<!-- results: {name} -->", "<!-- end of results -->"
    before, found, rest = page.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"the page lacks the markers {begin} and {end}")
    return f"{before}{begin}\n{rendered}\n{end}{after}"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: python tools/results_table.py --write",
    )
    parser.add_argument("--write", action="store_true", help="change the pages")
    args = parser.parse_args()
    for table in TABLES:
        rendered = table.rendered()
        print(f"{table.page}, {table.name}:\n{rendered}", end="\n\n")
        if args.write:
            path = ROOT / table.page
            text = with_table(path.read_text(encoding="utf-8"), table.name, rendered)
            unfinished = path.with_name(f".{path.name}.{os.getpid()}")
            unfinished.write_text(text, encoding="utf-8")
            os.replace(unfinished, path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
