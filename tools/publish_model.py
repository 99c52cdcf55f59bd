#!/usr/bin/env python
"""Write a model as a folder for others, or put it on the Hugging Face Hub.

Holds what is learned as safetensors, the config as data, and a model card; not CLIP's own weights.
Others use it with tools/image_demo.py --model and ZeroShotInferencer.from_pretrained(). The Hub
must know you: `hf auth login`, or HF_TOKEN.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from zegclip.apis import ZeroShotInferencer
from zegclip.engine.config_files import find_config, read_config
from zegclip.engine.config_options import ConfigOptions, apply_options
from zegclip.engine.launch import run


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example:\n  python tools/publish_model.py configs/tagclip_mini_inductive.py "
        "data/mini/mini_model.pth --out work_dirs/published",
    )
    add = parser.add_argument
    add("config", help="that the model was trained with")
    add("checkpoint", help="of the model")
    what = "settings that the training had beside its config"
    add("--cfg-options", nargs="+", action=ConfigOptions, metavar="KEY=VALUE", help=what)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--out", type=Path, metavar="FOLDER", help="write a folder")
    where.add_argument("--push", metavar="USER/NAME", help="put it on the Hub")
    add("--private", action="store_true", default=None, help="a new one on the Hub is only yours")
    add("--revision", help="branch on the Hub (default: the main one)")
    add("--report", help="report.json of a test of this checkpoint, for the card")
    add("--licence", "--license", default="unknown", help='of what is learned ("apache-2.0")')
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Write, or upload."""
    args = parse_args(argv)
    cfg = read_config(find_config(args.config))
    apply_options(cfg, args.cfg_options)
    inferencer = ZeroShotInferencer(cfg, args.checkpoint, "cpu")
    if args.push:
        rest = args.private, args.revision
        print(inferencer.push_to_hub(args.push, args.report, args.licence, *rest))
        return
    inferencer.save_pretrained(args.out, args.report, args.licence)
    for path in sorted(args.out.iterdir()):
        print(f"{path.stat().st_size:>12,}  {path}")


if __name__ == "__main__":
    run(main)
