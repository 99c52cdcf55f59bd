#!/usr/bin/env python
"""Render the recorded results (docs/results/*.json) as the tables that stand in the README.

Prints the tables; with --write, puts each into README.md between its markers.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
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


TABLES: dict[str, Callable[[dict[str, Any]], str]] = {"demo": demo_table, "mini": mini_table}


def with_table(readme: str, name: str, rendered: str) -> str:
    """The README with the table between its markers replaced.

    Raises:
        ValueError: a marker is missing.
    """
    begin, end = f"<!-- results: {name} -->", "<!-- end of results -->"
    before, found, rest = readme.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"README.md lacks the markers {begin} and {end}")
    return f"{before}{begin}\n{rendered}\n{end}{after}"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: python tools/results_table.py --write",
    )
    parser.add_argument("--write", action="store_true", help="change README.md")
    args = parser.parse_args()
    path = ROOT / "README.md"
    readme = path.read_text(encoding="utf-8")
    for name, table in TABLES.items():
        file = RESULTS / f"{name}.json"
        if not file.is_file():
            print(f"{file} is not there: the README says which command records it\n")
            continue
        rendered = table(json.loads(file.read_text()))
        readme = with_table(readme, name, rendered)
        print(rendered, end="\n\n")
    if args.write:
        path.write_text(readme, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
