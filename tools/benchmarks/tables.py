"""The benchmark's results as JSON and as tables."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from support.markdown_table import markdown

from zegclip.files import write_text

from .measure import Row

# What a table shows of its rows, where they have it.
COLUMNS = {
    "case": ("case", "{}"),
    "mode": ("", "{}"),
    "way": ("way", "{}"),
    "seconds": ("seconds", "{:.3g} ({:.3g}–{:.3g})"),
    "speed_up": ("ours is faster by", "{:.3g} ({:.3g}–{:.3g})×"),
    "images_per_second": ("images/s", "{:.3g}"),
    "gb": ("GB", "{:.3g}"),
    "gflop": ("GFLOP", "{:.4g}"),
    "share": ("of the product's speed", "{:.0%}"),
    "product": ("product, GFLOP/s", "{:.4g}"),
    "deviation": ("difference", "{:.0e}"),
    "operation": ("operation", "{}"),
    "calls": ("calls", "{}"),
    "of_all": ("of all", "{:.0%}"),
    "error": ("error", "{}"),
}
EXPLANATION = (
    "Median (smallest–largest) of interleaved runs. Faster: a way's time over ours, run by run. "
    "GB: peak above the model. Product: one large matrix product in the same runs, with which the "
    "speed of each way's own operations is compared. Difference: of results and gradients to "
    "ours, relative (of labels: the share that differs). Published for ZegCLIP on one GTX 1080 Ti: "
    "9.0 images/s on VOC, 6.7 on COCO-Stuff."
)


def write(path: Path, rows: Sequence[Row]) -> None:
    """``path`` (.json) and its tables beside it (.md)."""
    for suffix, text in ((".json", json.dumps(rows, indent=1)), (".md", render(rows))):
        write_text(path.with_suffix(suffix), text + "\n")


def merge(path: Path, rows: Sequence[Row], parts: Sequence[str]) -> list[Row]:
    """Rows of a file, the cases measured again replaced, in the order of ``parts``."""
    old = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    again = {(row["part"], row["case"], row["mode"]) for row in rows}
    again |= {(part, "stopped", mode) for part, _, mode in again}  # what had ended in an error
    kept = [row for row in old if (row["part"], row["case"], row["mode"]) not in again]
    return sorted([*kept, *rows], key=lambda row: parts.index(row["part"]))


def render(rows: Sequence[Row]) -> str:
    """The page."""
    places = sorted({f"{row['machine']}; code {row['code']}." for row in rows})
    parts = {row["part"]: [each for each in rows if each["part"] == row["part"]] for row in rows}
    tables = [f"## {part}\n\n{table(own)}" for part, own in parts.items()]
    return "\n\n".join(["# Benchmark: ours against the plain way", *places, EXPLANATION, *tables])


def table(rows: Sequence[Row]) -> str:
    """The rows of a part, and what its programs say."""
    shown = [key for key in COLUMNS if any(row.get(key) is not None for row in rows)]
    body = [[_cell(row.get(key), COLUMNS[key][1]) for key in shown] for row in rows]
    outputs = [f"\n```\n{row['output'].strip()}\n```" for row in rows if "output" in row]
    return "\n".join([markdown([[COLUMNS[key][0] for key in shown], *body]), *outputs])


def _cell(value: Any, form: str) -> str:
    values = value if isinstance(value, (tuple, list)) else [value]
    return "" if value is None else form.format(*values)
