#!/usr/bin/env python
"""Render docs/results/demo.json as the table that stands in the README.

Prints the table; with --write, puts it into README.md between its markers.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "docs" / "results" / "demo.json"
BEGIN, END = "<!-- results: demo -->", "<!-- end of results -->"


def table(results: dict[str, dict[str, float]]) -> str:
    """Markdown of the recorded runs, one row a config.

    Args:
        results: by config name, with ``pAcc``, ``mIoU_S``, ``mIoU_U``, ``hIoU`` in percent,
            ``minutes_of_training`` and ``seed``.
    """
    lines = [
        "| config | pAcc | mIoU(S) | mIoU(U) | hIoU | minutes of training | seed |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, entry in results.items():
        scores = [f"{entry[key]:.1f}" for key in ("pAcc", "mIoU_S", "mIoU_U", "hIoU")]
        cells = [f"`{name}`", *scores, f"{entry['minutes_of_training']:.1f}", str(entry["seed"])]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def with_table(readme: str, rendered: str) -> str:
    """The README with the table between its markers replaced.

    Raises:
        ValueError: a marker is missing.
    """
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"README.md lacks the markers {BEGIN} and {END}")
    return f"{before}{begin}\n{rendered}\n{end}{after}"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: python tools/results_table.py --write",
    )
    parser.add_argument("--write", action="store_true", help="change README.md")
    args = parser.parse_args()
    if not RESULTS.is_file():
        parser.error(f"{RESULTS} is not there: record a run with tools/demo.py --record")
    rendered = table(json.loads(RESULTS.read_text()))
    if args.write:
        readme = ROOT / "README.md"
        readme.write_text(with_table(readme.read_text(), rendered))
    print(rendered)
    return 0


if __name__ == "__main__":
    sys.exit(main())
