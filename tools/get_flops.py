#!/usr/bin/env python
"""Learnable parameters and GFLOPs of a config's model; needs neither weights nor data.

One multiply-add counts as one, as in the papers. Class embeddings are computed once for a
vocabulary: the text encoder's operations are shown by themselves and are no part of an image's.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from zegclip.errors import InputError

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import zegclip  # noqa: F401  isort: skip  (first: prepares the stack)
from dataset_converters.files import write_bytes
from mmengine.config import Config, DictAction
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS, MODELS
from model_cost import PARTS, model_cost
from rich.console import Console
from rich.table import Column, Table

from zegclip.datasets import ZeroShotDataset
from zegclip.engine.launch import find_config, methods_with
from zegclip.engine.preflight import preflight

RESULTS = ROOT / "docs" / "results" / "cost.json"
LABELS = {"image_encoder": "image", "text_encoder": "text", "decode_head": "head"}


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: python tools/get_flops.py configs/zegclip_voc_inductive.py --json -",
    )
    parser.add_argument("configs", nargs="*", metavar="CONFIG")
    parser.add_argument(
        "--shape", nargs=2, type=int, metavar=("H", "W"), help="pixels (default: the crop's)"
    )
    parser.add_argument("--json", metavar="FILE", help="write the numbers there, or to - (stdout)")
    parser.add_argument("--force", action="store_true", help="overwrite the file of --json")
    parser.add_argument("--cfg-options", nargs="+", action=DictAction, metavar="KEY=VALUE")
    parser.add_argument(
        "--record",
        action="store_true",
        help=f"all methods on VOC, COCO-Stuff and Context into {RESULTS.relative_to(ROOT)}, which "
        "the results pages show",
    )
    args = parser.parse_args(argv)
    if args.record and (args.configs or args.shape or args.cfg_options):
        parser.error("--record is for the configs as they are: give nothing else")
    if args.json not in (None, "-") and Path(args.json).exists() and not args.force:
        parser.error(f"{args.json} exists: say --force to overwrite it")
    if not args.record and not args.configs:
        parser.error("name a config, such as configs/zegclip_voc_inductive.py")
    return args


def cost(path: Path, shape: list[int] | None, options: dict[str, Any] | None) -> dict[str, Any]:
    """The cost of one config's model, with random weights."""
    cfg = Config.fromfile(path)
    cfg.merge_from_dict(options or {})
    cfg.model.clip.weights = "random"
    preflight(cfg, [])
    init_default_scope("mmseg")
    kind = DATASETS.get(cfg.test_dataloader.dataset.type)
    if kind is None or not issubclass(kind, ZeroShotDataset):
        raise SystemExit(f"error: {path}: its data set has no vocabulary (a ZeroShotDataset)")
    vocabulary = kind.vocabulary_of(cfg.test_dataloader.dataset)
    model = MODELS.build(cfg.model)
    size = shape or cfg.model.test_cfg.get("crop_size") or cfg.model.data_preprocessor.size
    patch = model.image_encoder.patch_size
    if any(side < 1 or side % patch for side in size):
        raise SystemExit(f"error: --shape {size[0]} {size[1]}: multiples of {patch} are needed")
    return model_cost(model, (size[0], size[1]), vocabulary)


def show(costs: dict[str, dict[str, Any]]) -> None:
    """Print the table."""
    table = Table(Column("config", no_wrap=True), "image", "classes", "learnable", "as published")
    table.add_column("GFLOPs of an image", no_wrap=True)
    table.add_column("of the vocabulary")
    for name, entry in costs.items():
        published, flops = entry["learnable_as_published"], entry["gflops"]
        table.add_row(
            name,
            "x".join(map(str, entry["image"])),
            str(entry["classes"]),
            _with_parts(entry["learnable"], PARTS, lambda count: f"{count / 1e6:.2f} M"),
            "" if published is None else f"{published / 1e6:.2f} M",
            _with_parts(flops, ("image_encoder", "decode_head"), lambda count: f"{count:.1f}"),
            f"{flops['text_encoder']:.1f}",
        )
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(table)
    console.print(
        "learnable: all that the model holds. as published: with the blocks that nothing calls in "
        "the published code. vocabulary: the text encoder on all classes, in training every step "
        "if it learns."
    )


def _with_parts(counts: dict[str, Any], parts: Sequence[str], text: Callable[[float], str]) -> str:
    """A total and, below it, the parts that are not 0."""
    lines = [f"{LABELS[part]} {text(counts[part])}" for part in parts if counts[part]]
    return "\n".join([text(counts["total"]), *lines])


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    if args.record:
        data = ("voc", "coco", "context")
        paths = [
            ROOT / "configs" / f"{method}_{name}_inductive.py"
            for method in methods_with("voc")
            for name in data
        ]
        paths = [path for path in paths if path.is_file()]
    else:
        paths = [find_config(config) for config in args.configs]
    try:
        costs = {path.stem: cost(path, args.shape, args.cfg_options) for path in paths}
    except InputError as error:
        raise SystemExit(str(error)) from None
    text = json.dumps(costs, indent=2) + "\n"
    if args.json == "-":
        print(text, end="")
        return 0
    show(costs)
    for file in (RESULTS if args.record else None, args.json):
        if file is not None:
            write_bytes(Path(file), text.encode())
            print(f"written: {file}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
