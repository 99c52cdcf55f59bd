#!/usr/bin/env python
"""A web page: upload a picture, type classes, see the segmentation and explore it.

Bound to this machine (127.0.0.1) unless told otherwise. Without a config and a checkpoint it uses
the mini model, which knows drawings of VOC's 20 classes, not photographs.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from zegclip.errors import InputError

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import zegclip  # noqa: F401  isort: skip  (first: prepares the stack)
from rich.console import Console

from zegclip.apis import ZeroShotSegmenter
from zegclip.datasets.mini.scenes import SCENES, make_scenes
from zegclip.files import find_path

console = Console(soft_wrap=True)
EXAMPLE_WORDS = "person, cat, dog, horse, sheep, bird, car, bus, train, sofa, chair, bottle"
LOOPBACK = ("127.0.0.1", "localhost", "::1")


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example:\n  python tools/web_demo.py --config configs/tagclip_coco_inductive.py "
        "--checkpoint work_dirs/tagclip_coco_inductive/iter_80000.pth",
    )
    parser.add_argument("--config", help="of the model (default: the mini model's)")
    parser.add_argument("--checkpoint", help="of the model (default: the mini model's)")
    parser.add_argument("--device", help="cuda, cpu, ... (default: CUDA where there is one)")
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen at; 0.0.0.0: the whole network"
    )
    parser.add_argument("--port", type=int, default=7860, help="default: %(default)s")
    parser.add_argument("--max-classes", type=int, default=60, help="default: %(default)s")
    parser.add_argument("--max-megabytes", type=int, default=20, help="of a file")
    args = parser.parse_args(argv)
    for name in ("max_classes", "max_megabytes"):
        if getattr(args, name) < 1:
            parser.error(f"--{name.replace('_', '-')} must be at least 1")
    if not 0 <= args.port <= 65535:
        parser.error(f"--port {args.port} is no port: 1 .. 65535")
    return args


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    try:
        from zegclip.apis.web_page import Limits, build_page
    except ModuleNotFoundError as error:
        raise SystemExit(
            f"error: {error.name} is not installed: python -m pip install gradio (or make setup)"
        ) from None
    try:
        segmenter = ZeroShotSegmenter(args.config, args.checkpoint, args.device)
    except InputError as error:
        raise SystemExit(f"error: {error}") from None
    examples = []
    if args.config is None and args.checkpoint is None:  # the mini model's own kind of picture
        pictures = make_scenes(find_path(SCENES)) / "JPEGImages"
        examples = [(str(pictures / f"val_0000{index}.jpg"), EXAMPLE_WORDS) for index in range(4)]
    limits = Limits(megabytes=args.max_megabytes, classes=args.max_classes)
    page = build_page(segmenter, examples, limits)
    if args.host not in LOOPBACK:
        console.print(f"[yellow]listening at {args.host}: whoever reaches this machine can use it")
    console.print(f"http://{args.host}:{args.port}  (Ctrl-C ends it)")
    try:
        page.launch(
            server_name=args.host,
            server_port=args.port or None,
            max_file_size=f"{args.max_megabytes}mb",
            footer_links=[],
            state_session_capacity=50,  # each keeps its picture's embeddings
            quiet=True,
        )
    except OSError as error:
        raise SystemExit(
            f"error: {args.host}:{args.port} cannot be used (another program's port, or no address "
            "of this machine): choose another --port or --host"
        ) from error
    return 0


if __name__ == "__main__":
    sys.exit(main())
