#!/usr/bin/env python
"""Look at a config's data: sheets of images with their labels, and what all masks hold.

Needs neither CLIP weights nor a checkpoint. Files that cannot be used are listed, and the exit
status is then 1.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS
from tqdm import tqdm
from tqdm.contrib.concurrent import thread_map

from zegclip.datasets.statistics import count_mask, label_statistics
from zegclip.engine.arguments import load_config, make_parser
from zegclip.engine.launch import run
from zegclip.errors import InputError
from zegclip.files import replacing, write_text
from zegclip.visualization import dataset_row, dataset_sheet
from zegclip.vocabulary import Vocabulary

ROWS = 8  # of one sheet
SHOWN = 20  # problems on the terminal; --json has all


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    example = "python tools/browse_dataset.py configs/tagclip_voc_inductive.py --number 16"
    parser = make_parser(__doc__ or "", example, runs=False)
    parser.add_argument("--split", choices=["train", "val", "test"], default="train")
    parser.add_argument("--number", type=int, default=8, help="images drawn (default: 8; 0: none)")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="default: work_dirs/browse/CONFIG_SPLIT"
    )
    parser.add_argument(
        "--sample", type=int, metavar="N", help="count N masks, evenly spread (default: all)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the statistics there")
    args = parser.parse_args(argv)
    if min(args.number, args.sample or 0) < 0:
        parser.error("--number and --sample are not negative")
    return args


def evenly_spaced(total: int, number: int) -> list[int]:
    """At most ``number`` of the indices ``0 .. total - 1``."""
    return np.linspace(0, total - 1, min(number, total)).astype(int).tolist()


def write_sheets(dataset: Any, indices: Sequence[int], folder: Path) -> list[str]:
    """Draw samples, ROWS a sheet; returns a message for each that cannot be drawn."""
    rows, problems = [], []
    for index in tqdm(indices, desc="images"):
        try:
            rows.append(dataset_row(dataset, index))
        except InputError as error:
            problems.append(str(error))
    for old in folder.glob("sheet_[0-9][0-9].png"):
        old.unlink()
    for start in range(0, len(rows), ROWS):
        path = folder / f"sheet_{start // ROWS + 1:02d}.png"
        with replacing(path) as part:
            dataset_sheet(rows[start : start + ROWS], dataset.metainfo).savefig(
                part, bbox_inches="tight"
            )
        print(f"written: {path}")
    return problems


def show(found: dict[str, Any]) -> None:
    """Print the histogram and what stands out."""
    print(f"\n{found['dataset']}, {found['split']}, {found['setting']}")
    row = "{:>4} {:<24} {:<7} {:>16} {:>14} {:>9}"
    print(row.format("id", "class", "split", "pixels", "% of labelled", "images"))
    labelled = max(sum(entry["pixels"] for entry in found["classes"].values()), 1)
    for index, (name, entry) in enumerate(found["classes"].items()):
        split = "UNSEEN" if entry["split"] == "unseen" else "seen"
        count = f"{entry['pixels']:,}" if entry["pixels"] else "never"
        percent = f"{100 * entry['pixels'] / labelled:.3f}"
        print(row.format(index, name, split, count, percent, f"{entry['images']:,}"))
    shares = ", ".join(f"{name} {100 * share:.2f} %" for name, share in found["shares"].items())
    print(f"{found['masks']:,} of {found['images']:,} masks counted, before the pipeline: {shares}")
    print(f"in none of these masks: {', '.join(found['never']) or 'none'}")
    print(
        f"{found['images_with_unseen']:,} images hold an unseen class, "
        f"{found['images_without_seen']:,} have no pixel of a seen class"
    )
    if problems := found["problems"]:
        print(f"{len(problems)} files cannot be used:", *problems[:SHOWN], sep="\n  ")
        if problems[SHOWN:]:
            print(f"  and {len(problems) - SHOWN} more (all of them: --json FILE)")


def main(argv: Sequence[str] | None = None) -> None:
    """Exit status 1 where a file could not be used."""
    args = parse_args(argv)
    cfg = load_config(args)
    config, split = Path(cfg.filename).stem, args.split
    if not cfg.get(f"{split}_dataloader"):
        raise InputError(f"{args.config} has no {split}_dataloader")
    init_default_scope(cfg.get("default_scope", "mmseg"))
    dataset = DATASETS.build(cfg[f"{split}_dataloader"]["dataset"])
    if "unseen" not in dataset.metainfo:
        raise InputError(f"{type(dataset).__name__} is no ZeroShotDataset: it has no split")
    indices = evenly_spaced(len(dataset), args.sample or len(dataset))
    samples = [dataset.get_data_info(index) for index in indices]
    if not all("seg_map_path" in sample for sample in samples):
        raise InputError(f"{split}_dataloader has no masks (data_prefix.seg_map_path) to look at")
    vocabulary = Vocabulary.from_metainfo(dataset.metainfo)
    folder = args.out or Path("work_dirs") / "browse" / f"{config}_{split}"
    problems = write_sheets(dataset, evenly_spaced(len(dataset), args.number), folder)
    statistics = label_statistics(thread_map(count_mask, samples, desc="masks"), vocabulary)
    found = {
        "config": config,
        "split": split,
        "dataset": dataset.metainfo["dataset_name"],
        "setting": vocabulary.setting,
        "images": len(dataset),
        **statistics,
        "problems": sorted({*problems, *statistics["problems"]}),
    }
    show(found)
    as_in_file = not any(s.get("reduce_zero_label") or s.get("label_map") for s in samples)
    only_first = set(vocabulary.classes) - set(found["never"]) == {vocabulary.classes[0]}
    if as_in_file and only_first and found["shares"]["ignored"]:
        print(
            "0 and 255 are the only labels in these masks, and 255 is ignored: if it stands for a "
            "class (masks of 0/255), save them with 0 and 1"
        )
    if args.json:
        write_text(args.json, json.dumps(found, indent=2) + "\n")
        print(f"written: {args.json}")
    if found["problems"]:
        raise SystemExit(1)


if __name__ == "__main__":
    run(main)
