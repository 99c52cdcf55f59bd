#!/usr/bin/env python
"""Render the recorded results (docs/results/*.json) as the tables of the README and docs/.

Whoever records a result (--record of demo, compare, summarize and get_flops) renews the
tables too; run this after a change of a JSON by hand.

example: python tools/results_table.py
"""

from __future__ import annotations

import json
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Mapping
from typing import Any

from support import analysis_tables, claims, comparison_tables
from support.markdown_table import markdown, mean_std, number

from zegclip.engine.launch import run
from zegclip.errors import InputError
from zegclip.evaluation import COLUMNS, CROSS_DATASET_COLUMNS
from zegclip.files import PROJECT_ROOT, write_text

ROOT = PROJECT_ROOT
HEADINGS = list(COLUMNS.values())
# The data sets of the papers, by their word in a config's name.
DATA = {
    "voc": "PASCAL VOC 2012 (20 classes)",
    "coco": "COCO-Stuff 164K (171 classes)",
    "context60": "PASCAL Context (60 classes, with background)",
    "context59": "PASCAL Context (59 classes)",
}
# And those that are only tested on.
TEST_DATA = DATA | {
    "voc21": "PASCAL VOC 2012 (21 classes, with background)",
    "ade": "ADE20K (150 classes)",
}
# A config's last word: its setting, and which pixels self-training labels.
SETTINGS: dict[str, tuple[str, str | None]] = {
    "inductive": ("inductive", None),
    "transductive": ("transductive", "unseen_pixels"),
    "transductive-all-unlabelled": ("transductive", "all_unlabelled"),
    "supervised": ("supervised", None),
}
# What papers' tables say of self-training.
PSEUDO_LABELS = {
    "unseen_pixels": "the unseen classes' (†)",
    "all_unlabelled": "all unlabelled",
    None: "not said",
}


def read(name: str) -> Any:
    """The content of ``docs/results/NAME.json``; ``{}`` where nothing is recorded yet."""
    path = ROOT / "docs" / "results" / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def record(name: str, content: Any) -> None:
    """Write ``docs/results/NAME.json`` and renew the tables of all pages.

    Raises:
        InputError: the pages are not there; nothing is written then.
    """
    if not (ROOT / "README.md").is_file():
        raise InputError(f"--record renews the pages of a clone of the repository; {ROOT} is none")
    path = ROOT / "docs" / "results" / f"{name}.json"
    write_text(path, json.dumps(content, indent=2) + "\n")
    write_pages()
    print(f"recorded: {path}, and the tables that show it")


def published(
    method: str, setting: str, dataset: str, pseudo_labels: str | None = None
) -> dict[str, Any] | None:
    """The scores that a method's paper prints, if it does; the data set by its name in a report."""
    for row in read("published")["papers"]:
        if (row["method"].lower(), row["setting"], row.get("pseudo_labels")) == (
            method,
            setting,
            pseudo_labels,
        ):
            return scores_on(row, dataset)
    return None


def scores_on(row: Mapping[str, Any], dataset: str) -> dict[str, Any] | None:
    """Scores by column of a published row on a data set, if it has that."""
    word = next((word for word in TEST_DATA if TEST_DATA[word] == dataset), None)
    numbers = row["scores"].get(word)
    one_mean = row["setting"] in ("cross_dataset", "training_free")
    columns = CROSS_DATASET_COLUMNS if one_mean else COLUMNS
    return numbers and dict(zip(columns, numbers, strict=True))


def one_cell(scores: Mapping[str, Any] | None) -> str:
    """The four scores with one decimal, or the mIoU alone as its source prints it.

    The mIoU alone is of the cross-dataset setting and of CLIP without training. Empty: no scores.
    """
    if scores is None or "mIoU" in scores:
        return "" if scores is None else f"mIoU {scores['mIoU']}"
    return " / ".join(number(scores[key]) for key in COLUMNS)


def demo_table() -> str:
    """The recorded demos, one row a config."""
    rows = [["config", *HEADINGS, "minutes of training", "seed"]]
    for name, entry in read("demo").items():
        numbers = [number(entry[key]) for key in (*COLUMNS, "minutes_of_training")]
        rows.append([f"`{name}`", *numbers, str(entry["seed"])])
    return markdown(rows)


def benchmark_table(method: str) -> str:
    """A method's configs with the published numbers, ours where measured, and the cost."""
    measured, costs = read("measured"), read("cost")
    scores = " / ".join(HEADINGS)
    rows = [["config", f"published: {scores}", f"ours: {scores}", "runs", "learnable", "GFLOPs"]]
    for word, (setting, pseudo_labels) in SETTINGS.items():
        for data, dataset in DATA.items():
            name, cost = f"{method}_{data}_{word}", costs.get(f"{method}_{data}_inductive")
            learnable = millions(cost["learnable"]["total"]) if cost else ""
            if cost and cost["learnable_as_published"] is not None:
                learnable += f" ({millions(cost['learnable_as_published'])} counted as published)"
            runs = measured.get(name, {}).get("runs", [])
            ours = " / ".join(mean_std(runs)) if runs else ""
            theirs = one_cell(published(method, setting, dataset, pseudo_labels))
            operations = number(cost["gflops"]["total"]) if cost else ""
            rows.append([f"`{name}`", theirs, ours, str(len(runs) or ""), learnable, operations])
    for target in ("voc", "context60", "context59", "ade"):
        name = f"{method}_coco_to_{target}"
        runs = measured.get(name, {}).get("runs", [])
        means = zip(CROSS_DATASET_COLUMNS.values(), mean_std(runs, CROSS_DATASET_COLUMNS))
        ours = ", ".join(f"{key} {value}" for key, value in means) if runs else ""
        theirs = one_cell(published(method, "cross_dataset", TEST_DATA[target]))
        rows.append([f"`{name}`", theirs, ours, str(len(runs) or ""), "", ""])
    return markdown(rows)


def millions(count: int) -> str:
    """A number of parameters as text: ``8.04 M``."""
    return f"{count / 1e6:.2f} M"


def literature_table(setting: str) -> str:
    """Every published row of a setting on the papers' data sets; without training ours as well."""
    papers = [row for row in read("published")["papers"] if row["setting"] == setting]
    words = [word for word in TEST_DATA if any(word in row["scores"] for row in papers)]
    data = [TEST_DATA[word] for word in words]
    labelled = ["pseudo-labelled pixels"] if setting == "transductive" else []
    rows = [["method", *labelled, *data, "source"]]
    for row in papers:
        pixels = [PSEUDO_LABELS[row["pseudo_labels"]] for _ in labelled]
        cells = [one_cell(scores_on(row, dataset)) for dataset in data]
        rows.append([row["method"], *pixels, *cells, row["source"]])
    if setting == "training_free":
        runs = [read("measured").get(f"training_free_{word}", {}).get("runs") for word in words]
        cells = [f"mIoU {mean_std(each, ['mIoU'])[0]}" if each else "" for each in runs]
        rows.append(["ours", *cells, "`training_free_*`, no refinement; empty: not measured yet"])
    return markdown(rows)


def users_table() -> str:
    """What people got who ran published code, beside what its paper prints."""
    rows = [["code", f"{DATA['voc']}: {' / '.join(HEADINGS)}", "hIoU of the paper", "source"]]
    for row in read("published")["run_by_users"]:
        cells = [one_cell(scores_on(row, DATA["voc"])), number(row["printed_hIoU"])]
        rows.append([row["method"], *cells, row["source"]])
    return markdown(rows)


def pages() -> dict[str, str]:
    """The text that each page should have, by its path from the repository's root.

    Raises:
        InputError: a page lacks the markers around a table.
    """
    analysis = read("analysis")
    numbers = analysis_tables.tables(analysis["results"]) if analysis else comparison_tables.NOTHING
    tables = {
        "README.md": {"demo": demo_table(), "claims": claims.table(analysis)},
        "docs/analysis.md": {"analysis": numbers},
        "docs/comparison.md": {"comparison": comparison_tables.tables(read("comparison"))},
    }
    settings = ("inductive", "transductive", "supervised", "cross_dataset", "training_free")
    literature = {setting: literature_table(setting) for setting in settings}
    tables["docs/published.md"] = {**literature, "users": users_table()}
    for path in sorted(ROOT.glob("docs/results_*.md")):
        own = benchmark_table(path.stem.removeprefix("results_"))
        tables[f"docs/{path.name}"] = {"benchmarks": own}
    texts = {}
    for page, by_name in tables.items():
        text = (ROOT / page).read_text(encoding="utf-8")
        for name, table in by_name.items():
            begin, end = f"<!-- results: {name} -->", "<!-- end of results -->"
            before, _, rest = text.partition(begin)
            _, closed, after = rest.partition(end)
            if not closed:
                raise InputError(f"{page} lacks the markers {begin} and {end}: put them back")
            text = f"{before}{begin}\n{table}\n{end}{after}"
        texts[page] = text
    return texts


def write_pages() -> None:
    """Renew the tables of all pages."""
    for page, text in pages().items():
        write_text(ROOT / page, text)


def main(argv: list[str] | None = None) -> None:
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.parse_args(argv)
    write_pages()


if __name__ == "__main__":
    run(main)
