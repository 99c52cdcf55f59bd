#!/usr/bin/env python
"""Draw the papers' figures: predictions, trusty maps, attention, regions and their consensus."""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from mmengine.config import Config, DictAction
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS, MODELS

import ldvc  # noqa: F401  (registers its figures, as the next one does)
import tagclip  # noqa: F401
from zegclip.datasets import ZeroShotDataset
from zegclip.engine import check_not_trained, start_up
from zegclip.engine.launch import find_checkpoint, load_config, run
from zegclip.engine.load_model import choose_device, load_model
from zegclip.errors import InputError
from zegclip.files import replacing
from zegclip.visualization import FIGURES, Method, image_names, images_named, images_with
from zegclip.vocabulary import check_known

EXAMPLE = """examples:
  python tools/visualize.py trust configs/tagclip_mini_inductive.py data/mini/mini_model.pth \\
      --images 4 --out trust.png
  python tools/visualize.py predictions \\
      configs/zegclip_voc_inductive.py work_dirs/zegclip_voc_inductive/iter_20000.pth \\
      configs/ldvc_voc_inductive.py work_dirs/ldvc_voc_inductive/iter_20000.pth \\
      --names 2007_000129 2007_000323 --out side_by_side.pdf
  python tools/visualize.py attention CONFIG CHECKPOINT --classes sofa train --out attention.png"""


def parse_args() -> argparse.Namespace:
    """The options."""
    listed = [
        f"  {name:<12} {(inspect.getdoc(figure) or '').splitlines()[0]}"
        for name, figure in FIGURES.module_dict.items()
    ]
    parser = argparse.ArgumentParser(
        description="\n".join([__doc__ or "", *listed]),
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("figure", choices=list(FIGURES.module_dict))
    parser.add_argument(
        "pairs",
        nargs="+",
        metavar="CONFIG CHECKPOINT",
        help="a config and what tools/train.py made of it; several pairs stand side by side",
    )
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
    which.add_argument("--names", nargs="+", help="these images, by file name without suffix")
    parser.add_argument(
        "--classes",
        nargs="+",
        default=[],
        help="choose images that show these classes; attention: draw these; consensus: start "
        "from the largest object of these (default: unseen classes)",
    )
    parser.add_argument(
        "--titles", nargs="+", help="of the columns, one a pair (default: the configs')"
    )
    parser.add_argument(
        "--point",
        nargs=2,
        type=float,
        metavar=("X", "Y"),
        help="consensus: start from the region around this pixel of the image",
    )
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action=DictAction,
        metavar="KEY=VALUE",
        help="override settings of all configs, e.g. test_dataloader.dataset.data_root=PATH",
    )
    args = parser.parse_args()
    if len(args.pairs) % 2:
        parser.error(f"a CHECKPOINT belongs to each CONFIG, but there are {len(args.pairs)} files")
    if args.titles and len(args.titles) != len(args.pairs) // 2:
        parser.error(f"--titles: {len(args.titles)} for {len(args.pairs) // 2} pairs")
    if args.point and "point" not in inspect.signature(FIGURES.get(args.figure)).parameters:
        parser.error(f"--point: the {args.figure} figure takes none")
    formats = Figure().canvas.get_supported_filetypes()
    if args.out.suffix.lower().lstrip(".") not in formats:
        parser.error(f"--out: a figure's file ends in one of .{', .'.join(formats)}")
    return args


def read_pair(args: argparse.Namespace, config: str, checkpoint: str) -> tuple[Config, Any]:
    """A config, with the checkpoint as its ``load_from``, and its test data; both are checked."""
    rest = {"unseen": None, "work_dir": None, "launcher": "none", "local_rank": 0}
    cfg = load_config(argparse.Namespace(config=config, cfg_options=args.cfg_options, **rest))
    cfg.load_from = find_checkpoint(checkpoint)
    init_default_scope(cfg.get("default_scope") or "mmseg")
    head, needed = MODELS.get(cfg.model.decode_head.type), FIGURES.get(args.figure).head
    if not (isinstance(head, type) and issubclass(head, needed)):
        raise InputError(
            f"{config}: its head, {cfg.model.decode_head.type}, has no {args.figure} to show; a "
            f"{needed.__name__} has"
        )
    start_up.check(cfg, ["test"])
    dataset = cfg.get("test_dataloader") and DATASETS.build(cfg.test_dataloader.dataset)
    if not isinstance(dataset, ZeroShotDataset) or "seg_map_path" not in dataset.get_data_info(0):
        raise InputError(
            f"{config}: a figure needs a test_dataloader with a ZeroShotDataset and its labels; to "
            "draw photographs use tools/image_demo.py"
        )
    return cfg, dataset


def load_methods(args: argparse.Namespace) -> list[Method]:
    """Check all pairs, choose the images, and then load the models."""
    configs, checkpoints = args.pairs[::2], args.pairs[1::2]
    pairs = [read_pair(args, *pair) for pair in zip(configs, checkpoints)]
    first = pairs[0][1]
    classes = first.metainfo["classes"]
    for config, (_, dataset) in zip(configs, pairs):
        if dataset.metainfo["classes"] != classes:
            raise InputError(
                f"{configs[0]} and {config} have other classes: methods side by side need configs "
                "of one data set"
            )
    check_known(args.classes, classes, "--classes")
    every = image_names(first)
    names = args.names or [every[each] for each in images_with(first, args.images, args.classes)]
    print(f"{args.figure}: {', '.join(names)}")
    methods = []
    titles = args.titles or [Path(config).stem for config in configs]
    for title, (cfg, dataset) in zip(titles, pairs):
        model = load_model(cfg, cfg.load_from, choose_device(None))
        if model.dataset_meta is not None:
            check_not_trained(model.dataset_meta, dataset.metainfo)
        model.dataset_meta = dataset.metainfo
        methods.append(Method(title, model, dataset, images_named(dataset, names)))
    return methods


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
