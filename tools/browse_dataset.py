#!/usr/bin/env python
"""Look at a data set before training on it: samples after the pipeline, and what the masks hold."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import zegclip  # noqa: F401  isort: skip  (first: prepares the stack)
import numpy as np
from mmengine.config import Config, DictAction
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS
from rich.console import Console
from rich.progress import track
from rich.table import Table

from zegclip.datasets.statistics import LabelStatistics, label_statistics
from zegclip.engine.launch import find_config, ready
from zegclip.visualization import dataset_sheet

console = Console(soft_wrap=True)
SHOWN = 5


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example:\n  python tools/browse_dataset.py configs/tagclip_voc_inductive.py "
        "--split train --number 8",
    )
    parser.add_argument("config", help="config file, as tools/train.py takes it")
    parser.add_argument("--split", choices=("train", "val", "test"), default="train")
    parser.add_argument("--number", type=int, default=6, help="samples of the sheet; 0: no sheet")
    parser.add_argument(
        "--out", type=Path, help="the sheet (default: work_dirs/browse/CONFIG_SPLIT.png)"
    )
    parser.add_argument("--force", action="store_true", help="overwrite what is there")
    parser.add_argument(
        "--sample", type=int, metavar="N", help="count the labels of only N masks, evenly spread"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the counts there")
    parser.add_argument("--seed", type=int, default=0, help="of the augmentation")
    parser.add_argument("--cfg-options", nargs="+", action=DictAction, metavar="KEY=VALUE")
    args = parser.parse_args(argv)
    if args.number < 0 or (args.sample is not None and args.sample < 1):
        parser.error("--number must not be negative, and --sample at least 1")
    args.config = find_config(args.config)
    if args.out is None:
        args.out = Path("work_dirs") / "browse" / f"{args.config.stem}_{args.split}.png"
    written = [path for path in (args.out if args.number else None, args.json) if path]
    if there := [str(path) for path in written if path.exists() and not args.force]:
        parser.error(f"{' and '.join(there)} exists: say --force to overwrite it")
    return args


def show(statistics: LabelStatistics, setting: str, split: str) -> None:
    """Print the counts."""
    vocabulary = statistics.vocabulary
    total = max(1, int(statistics.pixels.sum()) + statistics.ignored)
    table = Table("class", "split", "pixels %", "images", title=f"{statistics.opened} masks")
    for index, name in enumerate(vocabulary.classes):
        table.add_row(
            name,
            "[red]UNSEEN[/]" if name in vocabulary.unseen else "seen",
            f"{100 * statistics.pixels[index] / total:.3f}",
            f"{statistics.images[index]:,}",
        )
    console.print(table)
    shares = ", ".join(f"{key} {100 * value:.1f} %" for key, value in statistics.shares().items())
    console.print(f"pixels: {shares}")
    if never := statistics.never():
        console.print(f"[yellow]never: {', '.join(never)}")
    if vocabulary.unseen:
        console.print(
            f"{statistics.with_unseen:,} images show unseen classes, {statistics.without_seen:,} "
            "show no seen class"
        )
    if split == "train" and setting == "inductive":
        console.print("training ignores the unseen pixels (the sheet shows what it gets)")
    if statistics.broken:
        console.print(f"[red]{len(statistics.broken)} masks cannot be used:")
        for message in statistics.broken[:SHOWN]:
            console.print(f"  {message}", markup=False)


def main(argv: list[str] | None = None) -> int:
    """Exit status 1 where a mask cannot be used."""
    args = parse_args(argv)
    cfg = Config.fromfile(args.config)
    cfg.merge_from_dict(args.cfg_options or {})
    loader = cfg.get(f"{args.split}_dataloader")
    if loader is None:
        raise SystemExit(f"error: {args.config.name} has no {args.split}_dataloader")
    preprocessor = (cfg.get("model") or {}).get("data_preprocessor") or {}
    cfg.pop("model", None)  # neither model nor CLIP weights are needed
    with ready(cfg, [args.split]):
        init_default_scope("mmseg")
        dataset = DATASETS.build(loader.dataset)
        console.print(
            f"{dataset.metainfo['dataset_name']}, {args.split}: {len(dataset):,} images, "
            f"{dataset.metainfo['setting']}; {dataset.metainfo['ignore_rule']}"
        )
        statistics = label_statistics(
            dataset, args.sample, lambda indices: track(indices, "counting labels")
        )
        show(statistics, dataset.metainfo["setting"], args.split)
        if args.json:
            args.json.parent.mkdir(parents=True, exist_ok=True)
            args.json.write_text(json.dumps(statistics.as_dict(), indent=2) + "\n")
            console.print(f"written: {args.json}")
        if args.number and not statistics.broken:
            np.random.seed(args.seed)
            count = min(args.number, len(dataset))
            indices = [int(index) for index in np.linspace(0, len(dataset) - 1, count)]
            bgr = bool(preprocessor.get("bgr_to_rgb", True))
            sheet = dataset_sheet(dataset, indices, bgr)
            args.out.parent.mkdir(parents=True, exist_ok=True)
            sheet.save(args.out)
            console.print(f"written: {args.out}")
    return int(bool(statistics.broken))


if __name__ == "__main__":
    sys.exit(main())
