#!/usr/bin/env python
"""Draw the papers' figures: predictions, trusty maps, attention, regions and their consensus.

predictions  image, ground truth, one prediction for each CONFIG CHECKPOINT pair
trust        the trusty map of TagCLIP over the image
attention    what a class attends to in the last layer, methods side by side
consensus    LDVC: which regions a region attends to, and masks with and without that attention
             (a second pair: a model trained with model.decode_head.local_consensus=False)
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

# So that the script runs from any folder, installed or not.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import zegclip  # noqa: F401  isort: skip  (first: prepares the stack)
from mmengine.config import DictAction
from PIL import Image
from rich.console import Console

import ldvc  # noqa: F401  (registers its modules, as the next one does)
import tagclip  # noqa: F401
from zegclip.engine.launch import error_messages
from zegclip.engine.load_model import choose_device
from zegclip.heads import CONSENSUS, TRUST
from zegclip.visualization import (
    Method,
    attention_figure,
    consensus_figure,
    image_names,
    images_named,
    images_with,
    prediction_figure,
    trust_figure,
)
from zegclip.visualization.loading import (
    build_datasets,
    check_classes,
    check_consensus,
    check_shows,
    find_sources,
    load_methods,
)
from zegclip.visualization.saving import check_target, save_picture

EXAMPLE = """examples:
  python tools/visualize.py trust configs/tagclip_mini_inductive.py data/mini/mini_model.pth \\
      --images 4 --out trust.png
  python tools/visualize.py predictions \\
      configs/zegclip_voc_inductive.py work_dirs/zegclip_voc_inductive/iter_20000.pth \\
      configs/ldvc_voc_inductive.py work_dirs/ldvc_voc_inductive/iter_20000.pth \\
      --names 2007_000129 2007_000323 --out side_by_side.pdf
  python tools/visualize.py attention CONFIG CHECKPOINT --classes sofa train --out attention.png"""
FIGURES = ("predictions", "trust", "attention", "consensus")
console = Console(soft_wrap=True)


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """The arguments; what argparse cannot see is refused here."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("figure", choices=FIGURES)
    parser.add_argument(
        "pairs",
        nargs="+",
        metavar="CONFIG CHECKPOINT",
        help="a config and what tools/train.py made of it; several pairs stand side by side",
    )
    parser.add_argument("--out", type=Path, required=True, help=".png, .jpg, .pdf or .webp")
    parser.add_argument("--force", action="store_true", help="replace --out if it is there")
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--images",
        type=int,
        default=4,
        metavar="N",
        help="so many images, those of the first 100 that show most of the unseen classes, or of "
        "--classes (default: 4)",
    )
    which.add_argument("--names", nargs="+", help="these images, by file name without suffix")
    parser.add_argument(
        "--classes",
        nargs="+",
        default=[],
        help="choose images that show these classes; attention: draw these; consensus: start "
        "from the largest object of these (default: unseen classes)",
    )
    parser.add_argument("--titles", nargs="+", help="of the methods' columns, one for each pair")
    parser.add_argument(
        "--point",
        nargs=2,
        type=float,
        metavar=("X", "Y"),
        help="consensus: start from the region around this pixel of the image",
    )
    parser.add_argument(
        "--panel-height", type=int, default=224, help="of a picture, pixels (default: 224)"
    )
    parser.add_argument("--device", help="default: cuda where there is one, else cpu")
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action=DictAction,
        metavar="KEY=VALUE",
        help="override settings of all configs, e.g. test_dataloader.dataset.data_root=PATH",
    )
    args = parser.parse_args(argv)
    if len(args.pairs) % 2:
        parser.error(f"a CHECKPOINT belongs to each CONFIG, but there are {len(args.pairs)} files")
    args.pairs = list(zip(args.pairs[::2], args.pairs[1::2]))
    if args.figure == "consensus" and len(args.pairs) > 2:
        parser.error("consensus takes one pair, and at most one more of a model without LCSA")
    if args.titles and len(args.titles) != len(args.pairs):
        parser.error(f"--titles: {len(args.titles)} for {len(args.pairs)} CONFIG CHECKPOINT pairs")
    if args.point and args.figure != "consensus":
        parser.error("--point is for the consensus figure")
    if args.images < 1:
        parser.error("--images must be at least 1")
    if not 64 <= args.panel_height <= 2048:
        parser.error("--panel-height must be between 64 and 2048 pixels")
    return args


def load(args: argparse.Namespace) -> list[Method]:
    """Check what is needed, choose the images and load the models."""
    check_target(args.out, args.force)
    device = choose_device(args.device)
    sources = find_sources(args.pairs, args.titles, args.cfg_options)
    if args.figure == "trust":
        check_shows(sources, TRUST)
    if args.figure == "consensus":
        check_shows(sources, CONSENSUS)
    check_classes(sources, args.classes)
    datasets = build_datasets(sources)
    first = datasets[0]
    if args.names:
        images_named(first, args.names)
        names = args.names
    else:
        classes = args.classes or first.metainfo["unseen"] or first.metainfo["classes"]
        every = image_names(first)
        names = [every[index] for index in images_with(first, classes, args.images)]
    methods = load_methods(sources, datasets, names, device)
    if args.figure == "consensus":
        check_consensus(methods)
    console.print(f"{args.figure}: {', '.join(names)}")
    return methods


def draw(args: argparse.Namespace, methods: list[Method]) -> Image.Image:
    """The figure."""
    if args.figure == "predictions":
        return prediction_figure(methods, args.panel_height)
    if args.figure == "trust":
        return trust_figure(methods, args.panel_height)
    if args.figure == "attention":
        return attention_figure(methods, args.classes, args.panel_height)
    without = methods[1] if len(methods) > 1 else None
    point = (args.point[0], args.point[1]) if args.point else None
    return consensus_figure(methods[0], without, point, args.classes, args.panel_height)


def main(argv: list[str] | None = None) -> int:
    """Check, draw, write."""
    args = parse_args(argv)
    with error_messages():
        picture = draw(args, load(args))
        save_picture(picture, args.out)
    console.print(f"written: {args.out} ({picture.width} x {picture.height} pixels)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
