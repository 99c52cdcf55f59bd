#!/usr/bin/env python
"""Export a trained model to ONNX; the vocabulary stays open.

The file holds the image encoder and the head. Inputs: image (B, 3, H, W), float32, normalised,
sides multiples of the patch size; class_embeddings (C, D), float32, unit rows. Outputs:
probabilities (B, C, H, W), before calibration, and with TagCLIP trusty_map (B, 1, H, W). B, C, H
and W are free.
The text encoder is not in it: --words saves the embeddings of your classes as words.npz beside it,
or zegclip.apis.OnnxSegmenter takes the text encoder in torch.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from zegclip.errors import InputError

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import zegclip  # noqa: F401  isort: skip  (first: prepares the stack)
import torch
from rich.console import Console
from rich.table import Table

from zegclip.apis import make_vocabulary
from zegclip.engine.load_model import choose_files, load_model
from zegclip.export import compare, describe, export_onnx, speed, words_of
from zegclip.export.class_words import WORDS
from zegclip.export.comparison import TIE, TOLERANCE
from zegclip.export.onnx_model import HIGHEST_OPSET, LOWEST_OPSET, require_exporter
from zegclip.export.session import require_runtime
from zegclip.segmentors import ZeroShotSegmentor
from zegclip.vocabulary import Vocabulary

console = Console(soft_wrap=True)  # paths stay in one piece


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example:\n  python tools/export_onnx.py configs/tagclip_mini_inductive.py "
        'data/mini/mini_model.pth \\\n      --out work_dirs/onnx/model.onnx --words "cat, dog" '
        "--check",
    )
    parser.add_argument("config", help="as tools/test.py takes it")
    parser.add_argument("checkpoint", help="what tools/train.py wrote: a .pth file")
    parser.add_argument("--out", type=Path, required=True, metavar="ONNX", help="file to write")
    parser.add_argument(
        "--words",
        metavar="NAMES",
        help=f'classes such as "cat, a red bus", whose embeddings are saved as {WORDS} beside the '
        "model",
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="compare with torch in ONNX Runtime before anything is written",
    )
    parser.add_argument(
        "--benchmark",
        action="store_true",
        help="time ONNX Runtime against torch, one thread each, one image of 16x16 patches",
    )
    parser.add_argument(
        "--opset",
        type=int,
        default=LOWEST_OPSET,
        help=f"of ONNX, {LOWEST_OPSET} (default) to {HIGHEST_OPSET}",
    )
    parser.add_argument("--force", action="store_true", help="overwrite what is there")
    args = parser.parse_args(argv)
    if args.out.suffix != ".onnx":
        parser.error(f"--out {args.out} must end with .onnx")
    if not LOWEST_OPSET <= args.opset <= HIGHEST_OPSET:
        parser.error(f"--opset {args.opset} must be from {LOWEST_OPSET} to {HIGHEST_OPSET}")
    return args


def check_outputs(args: argparse.Namespace) -> None:
    """Everything that will be written can be, and nothing is lost by it.

    Raises:
        SystemExit: a file is there already and --force is not given, or the folder cannot be
            written to.
    """
    files = [args.out, *([args.out.parent / WORDS] if args.words is not None else [])]
    there = [str(file) for file in files if file.exists()]
    if folders := [file for file in files if file.is_dir()]:
        raise SystemExit(f"error: {folders[0]} is a folder, where a file is to be written")
    if there and not args.force:
        raise SystemExit(f"error: {' and '.join(there)} exist(s) already: --force overwrites")
    try:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=args.out.parent):
            pass
    except OSError as error:
        reason = error.strerror
        raise SystemExit(f"error: {args.out.parent} cannot be written to: {reason}") from None


def check_equal(model: ZeroShotSegmentor, path: Path) -> None:
    """Show how near the file is to torch.

    Raises:
        InputError: it is not the same but for rounding.
    """
    table = Table("images", "patches", "classes", "greatest difference", "other labels")
    failed = False
    for result in compare(model, path):
        images, rows, columns, classes = result.case
        labels = f"{result.other_labels} of {result.pixels}"
        sizes = (str(images), f"{rows}x{columns}", str(classes))
        table.add_row(*sizes, f"{result.difference:.1e}", labels)
        failed = failed or not result.equal
    console.print(table)
    if failed:
        raise InputError(
            f"ONNX Runtime and torch differ: more than {TOLERANCE} in a probability, or in an "
            f"arg-max that is no tie (within {TIE}); nothing is written"
        )


def run(args: argparse.Namespace, words: Vocabulary | None) -> None:
    """Load, export, compare, and put the files in their place."""
    cfg, checkpoint = choose_files(args.config, args.checkpoint)
    model = load_model(cfg, checkpoint, torch.device("cpu"))
    description = describe(cfg, model)
    saved = None
    if words is not None:
        names = [word for synonyms in words.words for word in synonyms]
        if cut := model.text_encoder.too_long(names):
            raise InputError(f"{cut[0]!r} is too long for the text encoder: use fewer words")
        saved = words_of(model, words)
    folder = args.out.parent
    with tempfile.TemporaryDirectory(dir=folder, prefix=".export_onnx") as unfinished:
        file = Path(unfinished) / args.out.name
        export_onnx(model, file, description, args.opset)
        if args.check:
            check_equal(model, file)
        if args.benchmark:
            own, other = speed(model, file)
            console.print(
                f"torch {own * 1e3:.1f} ms, ONNX Runtime {other * 1e3:.1f} ms: ONNX Runtime takes "
                f"{other / own:.2f} of torch's time"
            )
        if saved is not None:
            saved.save(folder / WORDS)
        os.replace(file, args.out)
    size = args.out.stat().st_size / 1e6
    console.print(f"written: {args.out} ({size:.1f} MB, opset {args.opset})")
    if saved is not None:
        console.print(f"written: {folder / WORDS} ({len(saved.names)} classes)")


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    check_outputs(args)
    try:
        require_exporter()
        if args.check or args.benchmark:
            require_runtime()
        words = None if args.words is None else make_vocabulary(args.words)
        run(args, words)
    except InputError as error:
        raise SystemExit(f"error: {error}") from None
    return 0


if __name__ == "__main__":
    sys.exit(main())
