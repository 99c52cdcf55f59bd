"""The benchmark's results as JSON and as tables."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from results_table import markdown

from zegclip.files import replacing


def write(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """``path`` (.json) and its tables beside it (.md)."""
    for suffix, text in ((".json", json.dumps(rows, indent=1)), (".md", render(rows))):
        with replacing(path.with_suffix(suffix)) as file:
            file.write_text(text + "\n", encoding="utf-8")


def merge(path: Path, rows: Sequence[dict[str, Any]], parts: Sequence[str]) -> list[dict[str, Any]]:
    """Rows of a file, those measured again replaced, in the order of ``parts``."""
    old = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    keys = ("part", "case", "precision")
    new = {tuple(row[key] for key in keys) for row in rows}
    merged = [row for row in old if tuple(row[key] for key in keys) not in new] + [*rows]
    return sorted(merged, key=lambda row: parts.index(row["part"]))


def render(rows: Sequence[Mapping[str, Any]]) -> str:
    """A table for each part."""
    lines = ["# Benchmark: ours against the plain way", ""]
    for line in sorted({json.dumps([row["machine"], row["code"]]) for row in rows}):
        where, code = json.loads(line)
        lines += [
            f"{where['name']}, {where['threads']} thread(s), torch {where['torch']}; code {code}.",
            "",
        ]
    lines += [
        "Median (smallest–largest) of interleaved runs. Speed-up: the plain way's time over ours, "
        "run by run. Memory: peak above the model. Peak: the share of the speed of a large matrix "
        "product in the same runs, each way's own operations counted. Difference: of results and "
        "gradients, relative (of labels: the share that differs).",
    ]
    for part in dict.fromkeys(row["part"] for row in rows):
        lines += ["", f"## {part}", "", *_tables([row for row in rows if row["part"] == part])]
    return "\n".join(lines)


def _tables(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    table = [
        ["case", "", "seconds", "speed-up", "GB", "GFLOP", "peak", "difference", "product GFLOP/s"]
    ]
    for row in rows:
        case = f"{row['case']}, {row['precision']}"
        if "error" in row:
            table.append([case, row["error"].strip().splitlines()[-1], *[""] * 7])
        for name, way in row.get("ways", {}).items():
            first = name == "ours"
            extra = (
                f", {way['images_per_second']:.1f} images/s" if "images_per_second" in way else ""
            )
            table.append(
                [
                    case if first else "",
                    name,
                    _spread(way["seconds"]) + extra,
                    _spread(row["ratio"]) + "×" if first and "ratio" in row else "",
                    f"{way['peak_gb']:.3g}" if "peak_gb" in way else "",
                    f"{way['gflop']:.4g}" if way.get("gflop") else "",
                    f"{100 * way['share_of_matrix']:.0f} %" if way.get("gflop") else "",
                    f"{row['deviation']:.0e}" if first and "deviation" in row else "",
                    f"{row['matrix_gflops']['median']:.4g}" if first and way.get("gflop") else "",
                ]
            )
    if len(table) > 1:
        yield markdown(table)
    for row in rows:
        if "profile" in row:
            yield f"{row['case']}, {row['precision']}:\n\n```\n{row['profile'].strip()}\n```\n"


def _spread(values: Mapping[str, float]) -> str:
    return "{median:.3g} ({min:.3g}–{max:.3g})".format(**values)


def summary(row: Mapping[str, Any]) -> str:
    """A row in one line, for the terminal."""
    if "profile" in row:
        return str(row["profile"])
    times = ", ".join(f"{name} {_spread(way['seconds'])} s" for name, way in row["ways"].items())
    return times + (f", {_spread(row['ratio'])} times as fast" if "ratio" in row else "")
