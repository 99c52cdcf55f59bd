#!/usr/bin/env python
"""Look at a config's data: sheets of images with their labels, and what all masks hold.

Needs neither CLIP weights nor a checkpoint. A mask that cannot be read is listed, and the exit
status is 1.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

# So that the script runs from any folder, installed or not.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import zegclip  # noqa: F401  isort: skip  (first: prepares the stack)
import numpy as np
from dataset_converters.files import write_bytes
from dataset_converters.parallel import parallel, progress
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import set_random_seed
from mmseg.registry import DATASETS
from PIL import Image
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from zegclip.compat import available_cores
from zegclip.datasets import Vocabulary, ZeroShotDataset
from zegclip.datasets.statistics import LabelStatistics, count_mask
from zegclip.engine.launch import load_config, make_parser, ready
from zegclip.visualization import TITLES, dataset_row, make_sheet

ROWS = 8  # of one sheet
SHOWN = 20  # problems on the terminal; --json has all


def parse_args(argv: Sequence[str] | None) -> tuple[argparse.Namespace, Config]:
    """The options, and the config with its overrides applied."""
    example = "python tools/browse_dataset.py configs/tagclip_voc_inductive.py --number 16"
    parser = make_parser(__doc__ or "", example, runs=False)
    parser.add_argument("--split", choices=["train", "val", "test"], default="train")
    parser.add_argument("--number", type=_positive, default=8, help="images drawn (default: 8)")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="default: work_dirs/browse/CONFIG_SPLIT"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the augmentation (default: 0)")
    parser.add_argument("--stats-only", action="store_true", help="draw nothing")
    parser.add_argument(
        "--sample", type=_positive, metavar="N", help="count N masks, evenly spread (default: all)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the statistics there")
    parser.add_argument("--jobs", type=_positive, help="processes (default: the cores)")
    parser.add_argument(
        "--force", action="store_true", help="replace the sheets in DIR and the JSON file"
    )
    args = parser.parse_args(argv)
    cfg = load_config(args)
    name = f"{Path(cfg.filename).stem}_{args.split}"
    args.out = args.out or Path("work_dirs") / "browse" / name
    if not cfg.get(f"{args.split}_dataloader"):
        parser.error(f"{args.config} has no {args.split}_dataloader")
    if args.json and args.json.exists() and not args.force:
        parser.error(f"{args.json} exists: say --force to replace it")
    if not args.stats_only and old_sheets(args.out) and not args.force:
        parser.error(f"{args.out} holds sheets: say --force to replace them, or another --out")
    return args, cfg


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def old_sheets(folder: Path) -> list[Path]:
    """The sheets that an earlier run wrote."""
    return [p for p in sorted(folder.glob("sheet_*.png")) if re.fullmatch(r"sheet_\d+", p.stem)]


def build(config: Any) -> Any:
    """The data set of a config; one that a wrapper repeats, once."""
    while str(config.get("type")).endswith("RepeatDataset"):
        config = config["dataset"]
    dataset = DATASETS.build(config)
    parts = getattr(dataset, "datasets", [dataset])  # of a ConcatDataset
    if other := [type(part).__name__ for part in parts if not isinstance(part, ZeroShotDataset)]:
        raise SystemExit(
            f"error: the data set is a {other[0]}, which knows no seen and unseen classes; use "
            "ZeroShotDataset or a class derived from it"
        )
    return dataset


def spread(total: int, number: int | None) -> list[int]:
    """``number`` of ``total`` indices, evenly spread; all of them for ``None``."""
    number = total if number is None else min(number, total)
    return [int(index) for index in np.linspace(0, total - 1, number)] if number else []


def write_sheets(
    dataset: Any, indices: Sequence[int], folder: Path, console: Console
) -> tuple[list[Path], list[str]]:
    """Draw samples, ROWS a sheet.

    Returns:
        The sheets, and a message for each sample that cannot be drawn.
    """
    previous = old_sheets(folder)
    folder.mkdir(parents=True, exist_ok=True)
    sheets: list[Path] = []
    problems: list[str] = []
    rows: list[list[Image.Image]] = []

    def finish() -> None:
        path = folder / f"sheet_{len(sheets) + 1:02d}.png"
        unfinished = path.with_name(f".{path.name}")
        make_sheet(rows, TITLES).save(unfinished, format="PNG")
        unfinished.replace(path)
        sheets.append(path)
        rows.clear()

    for index in progress("images", indices, len(indices), console):
        try:
            rows.append(dataset_row(dataset, index))
        except Exception as error:  # whatever a file does to a pipeline of transforms
            image = str(dataset.get_data_info(index)["img_path"])
            text = str(error) or type(error).__name__
            problems.append(text if Path(image).stem in text else f"{image}: {text}")
        if len(rows) == ROWS:
            finish()
    if rows:
        finish()
    for path in previous:
        if path not in sheets:
            path.unlink()
    return sheets, problems


def show(statistics: LabelStatistics, total: int, title: str, console: Console) -> None:
    """Print the histogram and what stands out."""
    vocabulary, all_pixels = statistics.vocabulary, int(statistics.pixels.sum())
    table = Table("id", "class", "split", title=escape(title))
    for heading in ("pixels", "% of labelled", "images", "% of images"):
        table.add_column(heading, justify="right")
    unseen = set(vocabulary.unseen)
    for index, name in enumerate(vocabulary.classes):
        pixels, images = int(statistics.pixels[index]), int(statistics.images[index])
        table.add_row(
            str(index),
            escape(name),
            "UNSEEN" if name in unseen else "seen",
            f"{pixels:,}" if pixels else "never",
            f"{100 * pixels / max(all_pixels, 1):.3f}",
            f"{images:,}",
            f"{100 * images / max(statistics.masks, 1):.2f}",
            style="red" if name in unseen else "",
        )
    console.print(table)
    shares = ", ".join(f"{name} {100 * share:.2f} %" for name, share in statistics.shares.items())
    say = partial(console.print, markup=False, highlight=False)
    say(f"{statistics.masks:,} of {total:,} masks counted, before the pipeline hides anything")
    say(f"pixels: {shares}")
    if statistics.never:
        say(f"in none of these masks: {', '.join(statistics.never)}")
    if vocabulary.unseen:
        say(
            f"{statistics.images_with_unseen:,} images hold an unseen class, "
            f"{statistics.images_without_seen:,} have no pixel of a seen class"
            + (
                " (training finds no labelled pixel in them)"
                if statistics.images_without_seen and vocabulary.setting == "inductive"
                else ""
            )
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 1 where a file could not be used."""
    args, cfg = parse_args(argv)
    console = Console(soft_wrap=True)
    problems: list[str] = []
    with ready(cfg, [args.split], data_only=True):
        init_default_scope(cfg.get("default_scope", "mmseg"))
        dataset = build(cfg[f"{args.split}_dataloader"]["dataset"])
        if not args.stats_only:
            set_random_seed(args.seed)
            sheets, problems = write_sheets(
                dataset, spread(len(dataset), args.number), args.out, console
            )
            for sheet in sheets:
                console.print(f"written: {sheet}", markup=False, highlight=False)
        indices = spread(len(dataset), args.sample)
        infos = (dataset.get_data_info(index) for index in indices)
        jobs = args.jobs or available_cores()
        counts = parallel("masks", count_mask, infos, len(indices), jobs, console)
        statistics = LabelStatistics.of(counts, Vocabulary.from_metainfo(dataset.metainfo))
    meta = dataset.metainfo
    heading = f"{meta['dataset_name']}, {args.split}, {meta['setting']}"
    show(statistics, len(dataset), heading, console)
    problems = sorted({*problems, *statistics.problems})
    if problems:
        console.print(f"{len(problems)} files cannot be used:", style="red")
        for problem in problems[:SHOWN]:
            console.print(f"  {problem}", markup=False, highlight=False)
        if len(problems) > SHOWN:
            console.print(f"  and {len(problems) - SHOWN} more (all of them: --json FILE)")
    if args.json:
        content = {
            "config": Path(cfg.filename).stem,
            "split": args.split,
            "dataset": meta["dataset_name"],
            "setting": meta["setting"],
            "images": len(dataset),
            **statistics.as_json(),
            "problems": problems,
        }
        write_bytes(args.json, (json.dumps(content, indent=2) + "\n").encode())
        console.print(f"written: {args.json}", markup=False, highlight=False)
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
