#!/usr/bin/env python
"""Segment photographs into your own words, and draw what was found.

Without --config and --checkpoint the mini model of the repository is used, which knows drawings of
VOC's 20 classes, not photographs; without --classes the classes that the model was trained with.
With --onnx an exported model does it in ONNX Runtime.
"""

from __future__ import annotations

import argparse
import glob
import json
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zegclip.errors import InputError

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import zegclip  # noqa: F401  isort: skip  (first: prepares the stack)
import torch
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from zegclip.apis import OnnxSegmenter, SegmentationResult, ZeroShotSegmenter, make_vocabulary
from zegclip.apis.images import SUFFIXES
from zegclip.vocabulary import Vocabulary

OUT = Path("work_dirs/image_demo")
PICTURES = (".png", ".jpg", ".jpeg", ".webp")
console = Console(soft_wrap=True)  # paths stay in one piece


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog='example:\n  python tools/image_demo.py photo.jpg --classes "cat, dog, grass"',
    )
    parser.add_argument(
        "images",
        nargs="+",
        metavar="IMAGE",
        help="files, folders (the images directly in them) or patterns such as 'photos/*.jpg'",
    )
    parser.add_argument("--classes", help='names with commas between them, "cat, a red bus"')
    parser.add_argument(
        "--seen",
        help="those of the classes that training has seen: calibrates as in the inductive setting",
    )
    parser.add_argument("--config", help="default: the one beside the checkpoint, or the mini one")
    parser.add_argument("--checkpoint", help="default: the config's load_from, or the mini model's")
    parser.add_argument(
        "--onnx",
        metavar="FILE",
        help="what tools/export_onnx.py wrote; words come from --words or from the text encoder of "
        "--config and --checkpoint",
    )
    parser.add_argument(
        "--words",
        metavar="NPZ",
        help="saved class embeddings for --onnx (default: words.npz beside it)",
    )
    parser.add_argument(
        "--out", type=Path, help=f"a folder, or a picture file for one image (default: {OUT})"
    )
    parser.add_argument("--json", type=Path, help="write every class's share of the pixels there")
    parser.add_argument("--device", help="cuda, cpu, ... (default: cuda where there is one)")
    parser.add_argument("--opacity", type=float, default=0.5, help="of the colours, 0..1 (0.5)")
    parser.add_argument("--force", action="store_true", help="overwrite what is there")
    args = parser.parse_args(argv)
    if not 0 <= args.opacity <= 1:
        parser.error(f"--opacity {args.opacity} must be between 0 and 1")
    if args.words and not args.onnx:
        parser.error("--words is for --onnx: name that file too, or use --classes")
    return args


def find_images(arguments: Sequence[str]) -> list[Path]:
    """The files that the arguments mean, each once, in their order.

    Raises:
        SystemExit: an argument means no file; all such arguments are named.
    """
    found: dict[Path, Path] = {}
    problems = []
    for argument in arguments:
        path = Path(argument).expanduser()
        if path.is_dir():
            files = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
            if not files:
                problems.append(f"{argument}: no image is in this folder ({', '.join(SUFFIXES)})")
        elif path.exists():
            files = [path]
        else:
            matches = sorted(glob.glob(str(path), recursive=True))
            files = [Path(match) for match in matches if Path(match).is_file()]
            if not files:
                is_pattern = glob.has_magic(argument)
                problems.append(
                    f"{argument}: " + ("nothing fits" if is_pattern else "no such file")
                )
        for file in files:
            found.setdefault(file.resolve(), file)
    if problems:
        raise SystemExit("error: " + "\nerror: ".join(problems))
    return list(found.values())


def choose_outputs(images: Sequence[Path], out: Path | None) -> list[Path]:
    """The picture of each image: NAME.png, or its whole name where two would be called the same.

    Raises:
        SystemExit: one file is named for several images, or a picture would replace an image.
    """
    if out is not None and out.suffix.lower() in PICTURES and not out.is_dir():
        if len(images) > 1:
            raise SystemExit(f"error: --out {out} is one file for {len(images)} images: a folder?")
        outputs = [out]
    else:
        stems = Counter(image.stem for image in images)
        names = [image.stem if stems[image.stem] == 1 else image.name for image in images]
        same = Counter(names)
        names = [
            name if same[name] == 1 else f"{image.resolve().parent.name}_{name}"
            for name, image in zip(names, images)
        ]
        if twice := [name for name, count in Counter(names).items() if count > 1]:
            raise SystemExit(f"error: several images would become {twice[0]}.png: give them apart")
        outputs = [(out or OUT) / f"{name}.png" for name in names]
    inputs = {image.resolve() for image in images}
    if own := [output for output in outputs if output.resolve() in inputs]:
        raise SystemExit(f"error: {own[0]} would be replaced by its own picture: set another --out")
    return outputs


def check_outputs(outputs: Sequence[Path], json_file: Path | None, force: bool) -> None:
    """Everything that will be written can be, and nothing is lost by it.

    Raises:
        SystemExit: a file is there already and ``force`` is not set, or a folder cannot be
            written to.
    """
    files = [*outputs, *([json_file] if json_file else [])]
    if json_file and json_file.resolve() in {output.resolve() for output in outputs}:
        raise SystemExit(f"error: --json {json_file} is the picture's own file")
    there = [file for file in files if file.exists()]
    if folders := [file for file in there if file.is_dir()]:
        raise SystemExit(f"error: {folders[0]} is a folder, where a file is to be written")
    if there and not force:
        more = f" and {len(there) - 1} more" if len(there) > 1 else ""
        raise SystemExit(f"error: {there[0]}{more} exist(s) already: --force overwrites")
    for folder in sorted({file.parent for file in files}):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise SystemExit(f"error: {folder} cannot be written to: {error.strerror}") from None


def write_file(path: Path, result: SegmentationResult, opacity: float) -> None:
    """The picture, at once: no half of one stays behind."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".image_demo") as folder:
        part = Path(folder) / path.name
        result.draw(opacity).save(part)
        os.replace(part, path)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """As :func:`write_file`."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".image_demo") as folder:
        part = Path(folder) / path.name
        part.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        os.replace(part, path)


def load(args: argparse.Namespace) -> tuple[ZeroShotSegmenter, Vocabulary]:
    """The model and the words, both checked.

    Raises:
        SystemExit: one of them cannot be used.
    """
    try:
        if args.classes is not None:  # before the model is loaded, which takes a while
            make_vocabulary(args.classes, args.seen)
        segmenter = (
            OnnxSegmenter(args.onnx, args.words, args.config, args.checkpoint, args.device)
            if args.onnx
            else ZeroShotSegmenter(args.config, args.checkpoint, args.device)
        )
        return segmenter, segmenter.vocabulary(args.classes, args.seen)
    except InputError as error:
        raise SystemExit(f"error: {error}") from None


def segment_all(
    segmenter: ZeroShotSegmenter,
    vocabulary: Vocabulary,
    images: Sequence[Path],
    outputs: Sequence[Path],
    opacity: float,
) -> tuple[dict[str, Any], dict[str, str]]:
    """Segment and draw; broken images are left out.

    Returns:
        By image: its size, shares and picture; and by broken image: what is wrong.
    """
    done: dict[str, Any] = {}
    failed: dict[str, str] = {}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as progress:
        task = progress.add_task("segmenting", total=len(images), visible=len(images) > 1)
        for image, output in zip(images, outputs):
            try:
                result = segmenter(image, vocabulary)
                write_file(output, result, opacity)
            except (
                InputError,
                OSError,
                MemoryError,  # ONNX Runtime's word on one image
                torch.OutOfMemoryError,
            ) as error:
                failed[str(image)] = str(error) or type(error).__name__
            else:
                areas = result.areas()
                height, width = result.labels.shape
                size = {"width": width, "height": height}
                done[str(image)] = {**size, "picture": str(output), "areas": areas}
                largest = sorted(areas.items(), key=lambda item: -item[1])[:3]
                shares = ", ".join(f"{name} {share:.0%}" for name, share in largest if share)
                progress.console.print(
                    f"{escape(str(image))}  {escape(shares)}  {escape(str(output))}"
                )
            progress.advance(task)
    return done, failed


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 1 if an image could not be segmented."""
    args = parse_args(argv)
    images = find_images(args.images)
    outputs = choose_outputs(images, args.out)
    check_outputs(outputs, args.json, args.force)
    segmenter, vocabulary = load(args)
    if not (args.config or args.checkpoint or args.onnx):
        print(
            "note: this is the mini model, which knows drawings of VOC's 20 classes, not "
            "photographs; --checkpoint takes one that was trained on photographs",
            file=sys.stderr,
        )
    done, failed = segment_all(segmenter, vocabulary, images, outputs, args.opacity)
    if args.json:
        model = {"config": segmenter.config, "checkpoint": segmenter.checkpoint}
        words = {"classes": list(vocabulary.classes), "setting": vocabulary.setting}
        write_json(args.json, {**model, **words, "images": done, "failed": failed})
    for image, message in failed.items():
        text = message if image in message else f"{image}: {message}"
        console.print(f"[red]not segmented[/]  {escape(text)}")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
