#!/usr/bin/env python
"""Measure what the papers claim beyond scores: misidentification, fragments, drift, overfitting.

One pass over the test data for each checkpoint; checkpoints of one config (seeds), or of one title,
are one column, mean ± standard deviation. Writes analysis.json, .md and .png; docs/analysis.md says
what each number means.

example: python tools/analyze.py configs/tagclip_voc_inductive.py work_dirs/RUN/iter_20000.pth
"""

from __future__ import annotations

import json
import shlex
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from mmengine.config import Config
from support.analysis_tables import Results, of_section, tables
from support.labelled_models import add_pairs, labelled_data, load, paired, read_pair

import ldvc  # noqa: F401  (registers its analyses, as the next one does)
import tagclip  # noqa: F401
from zegclip.datasets import ZeroShotDataset
from zegclip.engine.launch import run
from zegclip.engine.load_model import checkpoint_meta
from zegclip.errors import InputError
from zegclip.evaluation import ANALYSES, analyse, code_version, data_protocol
from zegclip.files import PROJECT_ROOT, replacing, write_text
from zegclip.vocabulary import BACKGROUND, background_id


def draw(results: Results) -> Figure | None:
    """The analyses that can be drawn, side by side; ``None``: none can."""
    kinds = {kind.section: kind for kind in ANALYSES.module_dict.values() if kind.draw}
    shown = {name: found for name in kinds if (found := of_section(results, name))}
    if not shown:
        return None
    figure = Figure((5 * len(shown), 4.2), dpi=150, layout="constrained")
    for axes, (name, found) in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown.items()):
        kinds[name].draw(axes, found)
        axes.legend(fontsize=7)
    return figure


def write(content: dict[str, Any], folder: Path) -> None:
    """Write ``analysis.json``, ``.md`` and ``.png`` into a folder.

    Args:
        content: the JSON's, with ``results`` by column.
        folder: is made where it is not there.
    """
    results = content["results"]
    for name, text in (("json", json.dumps(content, indent=2)), ("md", tables(results))):
        write_text(folder / f"analysis.{name}", text + "\n")
    if figure := draw(results):
        with replacing(folder / "analysis.png") as part:
            figure.savefig(part)


def check(cfg: Config, dataset: ZeroShotDataset) -> None:
    """``InputError`` where a model cannot be loaded, or has a background that is no class."""
    model = load(cfg, dataset)
    if model.test_cfg.get("background") and background_id(model.vocabulary.classes) is None:
        raise InputError(
            f"{cfg.filename}: model.test_cfg.background needs a class called {BACKGROUND} here; "
            "--cfg-options model.test_cfg.background=None leaves it out"
        )


def main(argv: list[str] | None = None) -> None:
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    add_pairs(parser)
    folder = PROJECT_ROOT / "work_dirs" / "analysis"
    parser.add_argument("--out", type=Path, default=folder, help="folder; default: %(default)s")
    args = parser.parse_args(argv)
    files = paired(parser, args)
    titles = [title for title, _, _ in files]
    configs = [(config, read_pair(config, checkpoint, args)) for _, config, checkpoint in files]
    pairs = [(cfg, labelled_data(config, cfg)) for config, cfg in configs]
    for pair in pairs:  # all are checked before the work begins, and only one is kept in memory
        check(*pair)
    for title in dict.fromkeys(titles):
        own = [cfg.load_from for each, (cfg, _) in zip(titles, pairs) if each == title]
        metas = [checkpoint_meta(file) for file in own if file]
        places = {(meta.get("seed"), meta.get("iter")) for meta in metas}
        alike = len({str(meta.get("training")) for meta in metas}) <= 1
        if not alike or len(places) > len({seed for seed, _ in places}):
            raise InputError(
                f"{title}: checkpoints that were not trained alike would be averaged; name the "
                "columns, --titles A B"
            )
    results: dict[str, list[dict[str, Any]]] = {}
    for title, (cfg, dataset) in zip(titles, pairs):
        found = analyse(load(cfg, dataset), dataset, cfg.load_from)
        results.setdefault(title, []).append(found)
    content = {
        "command": shlex.join(["python", "tools/analyze.py", *(argv or sys.argv[1:])]),
        "code": code_version(),
        "data": {title: data_protocol(data) for title, (_, data) in zip(titles, pairs)},
        "results": results,
    }
    write(content, args.out)
    print(f"{tables(results)}\n\nwritten: {args.out}/analysis.*")


if __name__ == "__main__":
    run(main)
