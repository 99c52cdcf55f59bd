#!/usr/bin/env python
"""Draw the papers' figures: predictions, trusty maps, attention, regions and their consensus.

examples:
  python tools/visualize.py trust configs/tagclip_mini_inductive.py data/mini/mini_model.pth \\
      --images 4 --out trust.png
  python tools/visualize.py predictions \\
      configs/zegclip_voc_inductive.py work_dirs/zegclip_voc_inductive/iter_20000.pth \\
      configs/ldvc_voc_inductive.py work_dirs/ldvc_voc_inductive/iter_20000.pth \\
      --names 2007_000129 2007_000323 --out side_by_side.pdf
  python tools/visualize.py attention CONFIG CHECKPOINT --classes sofa train --out attention.png
"""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Callable
from pathlib import Path

from matplotlib.figure import Figure
from mmseg.registry import MODELS
from support.labelled_models import add_pairs, labelled_data, load, paired, read_pair

import ldvc  # noqa: F401  (registers its figures, as the next one does)
import tagclip  # noqa: F401
from zegclip.engine.launch import run
from zegclip.errors import InputError
from zegclip.files import replacing
from zegclip.visualization import FIGURES, Method, image_names, images_named, images_with
from zegclip.vocabulary import check_known


def parse_args() -> argparse.Namespace:
    """What was typed, with the pairs of :func:`support.labelled_models.paired`."""
    listed = [
        f"  {name:<12} {(inspect.getdoc(figure) or '').splitlines()[0]}"
        for name, figure in FIGURES.module_dict.items()
    ]
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="\n".join(["figures:", *listed]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("figure", choices=list(FIGURES.module_dict))
    add_pairs(parser)
    parser.add_argument("--out", type=Path, required=True, help=".png, .jpg, .pdf, .svg or .webp")
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--images",
        type=int,
        default=4,
        metavar="N",
        help="this many images, those of the first 100 that show most of the unseen classes, or of "
        "--classes (default: 4)",
    )
    which.add_argument(
        "--names",
        nargs="+",
        help="these images, by file name without suffix (folder/name.jpg where several have it)",
    )
    parser.add_argument(
        "--classes",
        nargs="+",
        default=[],
        help="choose images that show these classes; attention: draw these; consensus: start "
        "from the largest object of these (default: unseen classes)",
    )
    parser.add_argument(
        "--point",
        nargs=2,
        type=float,
        metavar=("X", "Y"),
        help="consensus: start from the region around this pixel of the image",
    )
    args = parser.parse_args()
    args.pairs = paired(parser, args)
    if args.point and "point" not in inspect.signature(FIGURES.get(args.figure)).parameters:
        parser.error(f"--point: the {args.figure} figure takes none")
    formats = Figure().canvas.get_supported_filetypes()
    if args.out.suffix.lower().lstrip(".") not in formats:
        parser.error(f"--out: a figure's file ends in one of .{', .'.join(formats)}")
    return args


def load_methods(args: argparse.Namespace) -> list[Method]:
    """Check all pairs, choose the images, and then load the models."""
    pairs, needed = [], FIGURES.get(args.figure).head
    for title, config, checkpoint in args.pairs:
        cfg = read_pair(config, checkpoint, args)
        head = MODELS.get(cfg.model.decode_head.type)
        if not (isinstance(head, type) and issubclass(head, needed)):
            raise InputError(
                f"{config}: its head, {cfg.model.decode_head.type}, has no {args.figure} to show; "
                f"a {needed.__name__} has"
            )
        pairs.append((title, cfg, labelled_data(config, cfg)))
    _, _, first = pairs[0]
    classes = first.metainfo["classes"]
    for (_, config, _), (_, _, dataset) in zip(args.pairs, pairs):
        if dataset.metainfo["classes"] != classes:
            raise InputError(
                f"{args.pairs[0][1]} and {config} have other classes: methods side by side need "
                "configs of one data set"
            )
    check_known(args.classes, classes, "--classes")
    every = image_names(first)
    names = args.names or [every[each] for each in images_with(first, args.images, args.classes)]
    print(f"{args.figure}: {', '.join(names)}")
    return [
        Method(title, load(cfg, dataset), dataset, images_named(dataset, names))
        for title, cfg, dataset in pairs
    ]


def main() -> None:
    """Check, draw, write."""
    args = parse_args()
    methods = load_methods(args)
    draw: Callable[..., Figure] = FIGURES.get(args.figure)
    taken = inspect.signature(draw).parameters
    options = {key: value for key, value in vars(args).items() if key in ("classes", "point")}
    figure = draw(methods, **{key: value for key, value in options.items() if key in taken})
    with replacing(args.out) as part:
        figure.savefig(part, bbox_inches="tight")
    print(f"written: {args.out}")


if __name__ == "__main__":
    run(main)
