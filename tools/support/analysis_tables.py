"""The numbers of tools/analyze.py as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .markdown_table import markdown

# The results of a config's checkpoints, by its name; each is {section: numbers}.
Results = Mapping[str, Sequence[Mapping[str, Any]]]


def cell(values: Sequence[Any]) -> str:
    """Mean ± standard deviation (n - 1) of numbers, or the only number; texts are joined."""
    if not values or isinstance(values[0], str):
        return ", ".join(dict.fromkeys(values))
    if len(values) == 1:
        return f"{values[0]:.4g}"
    deviation = np.std(values, ddof=1)
    return f"{np.mean(values):.4g} ± {deviation:{'.2g' if deviation < 100 else '.0f'}}"


def flat(numbers: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Numbers and texts by their path in words, without curves and the tables of classes."""
    found: dict[str, Any] = {}
    for key, value in numbers.items():
        name = prefix + key.replace("_", " ")
        if isinstance(value, Mapping) and key not in ("curve", "per_class"):
            found |= flat(value, f"{name}: ")
        elif isinstance(value, (int, float, str)):
            found[name] = value
    return found


def table(heading: str, columns: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """A row for each number that there is in any column; a column's runs are one cell."""
    names = dict.fromkeys(name for runs in columns.values() for run in runs for name in run)
    rows = [
        [name, *(cell([run[name] for run in runs if name in run]) for runs in columns.values())]
        for name in names
    ]
    return markdown([[heading, *columns], *rows])


def of_section(results: Results, section: str) -> dict[str, list[Mapping[str, Any]]]:
    """The numbers of a section, of the configs that have it."""
    found = {k: [run[section] for run in runs if section in run] for k, runs in results.items()}
    return {name: runs for name, runs in found.items() if runs}


def tables(results: Results) -> str:
    """All numbers as Markdown: a table a section, then one of the classes."""
    sections = dict.fromkeys(name for runs in results.values() for run in runs for name in run)
    texts = []
    for section in sorted(sections, key=lambda name: name != "scores"):
        columns = of_section(results, section)
        texts.append(table(section, {k: list(map(flat, runs)) for k, runs in columns.items()}))
    of_classes = {
        f"{name}: {key.replace('_', ' ')}": [
            {
                label + " (unseen)" * (entry["split"] == "unseen"): entry[key]
                for label, entry in run["per_class"].items()
                if entry.get(key) is not None
            }
            for run in runs
        ]
        for name, runs in of_section(results, "scores").items()
        for key in ("IoU", "given_other_group", "mostly_taken_for")
    }
    return "\n\n".join([*texts, table("class", of_classes)])
