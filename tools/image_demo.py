#!/usr/bin/env python
"""Segment photographs into your own words, and draw what was found.

Without --config and --checkpoint CLIP does it without training: OpenAI's ViT-B/16, downloaded once.
With --mini it is the mini model of the repository, which knows drawings of VOC's 20 classes, not
photographs. With --onnx an exported model does it in ONNX Runtime. Without --classes a trained
model looks for the classes that it was trained with. Of a video every frame is segmented, and drawn
into another one, without its sound.
"""

from __future__ import annotations

import argparse
import functools
import glob
import json
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from support.model_options import add_checkpoint

from zegclip.apis import (
    OnnxInferencer,
    SegmentationResult,
    ZeroShotInferencer,
    make_vocabulary,
)
from zegclip.apis.outputs import FORMATS, VIDEOS, OutputFolder, VideoReader, video_writer
from zegclip.apis.words import make_background
from zegclip.datasets.images import SUFFIXES, UNREAD_SUFFIXES, expand_user
from zegclip.engine.launch import run
from zegclip.errors import InputError
from zegclip.files import replacing, write_text


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog='example:\n  python tools/image_demo.py photo.jpg --classes "cat, dog, grass"',
    )
    add = parser.add_argument
    what = "photographs or videos: files, folders (images directly in them), patterns 'some/*.jpg'"
    add("images", nargs="+", help=what)
    add("--classes", help='names with commas between them, "cat|kitten, a red bus"')
    add("--seen", help="those that training has seen: calibrates as in the inductive setting")
    add(
        "--background",
        default="auto",
        help="what is none of the classes: auto (the method's own, for --classes), off, the "
        'probability that a class must have (0.5), words for all else ("sky, wall"), or both',
    )
    add("--refine", choices=["pamr"], help="bring masks to the image's edges")
    add("--config", help="default: the one that the checkpoint was trained with, if it can be told")
    model = add_checkpoint(parser)
    model.add_argument(
        "--model", metavar="NAME", help="user/name on the Hugging Face Hub, or a folder as there"
    )
    add("--revision", help="of --model on the Hub: a branch, tag or commit")
    add(
        "--onnx",
        metavar="FILE",
        help="what tools/export_onnx.py wrote; words come from words.npz beside it, or from the "
        "text encoder of --config and --checkpoint",
    )
    out = "a folder; or a .png for one photograph, an .mp4 for one video (default: %(default)s)"
    add("--out", type=Path, default="work_dirs/image_demo", help=out)
    add(
        "--save",
        nargs="+",
        choices=FORMATS,
        default=[],
        help="more files: labels/NAME.png, coco.json, labelme/NAME.json, report.html; of a video's "
        "frames labels/NAME/000001.png, ...",
    )
    add("--json", type=Path, help="write every class's share of the pixels there")
    add("--device", help="cuda, cpu, ... (default: cuda where there is one; with --onnx cpu)")
    return parser.parse_args(argv)


def read_background(text: str) -> bool | str:
    """What ``--background`` says, as the inferencer takes it."""
    if text.lower() in ("auto", "off", "none"):
        return text.lower() == "auto"
    make_background(text)  # (an odd one is refused before work)
    return text


def find_images(arguments: Sequence[str]) -> list[Path]:
    """The files that the arguments mean, each once, in their order.

    It prints which pictures of a folder are left out.

    Raises:
        InputError: an argument means no file.
    """
    found: dict[Path, Path] = {}
    for argument in arguments:
        path = expand_user(argument)
        files = [path]
        if path.is_dir():
            # (A Mac puts a ._photo.jpg, which is no picture, beside each photo.jpg.)
            inside = sorted(path.glob("[!.]*"))
            files = [file for file in inside if file.suffix.lower() in SUFFIXES]
            unread = Counter(map(str.lower, (file.suffix for file in inside)))
            skipped = [f"{unread[kind]} {kind}" for kind in UNREAD_SUFFIXES if unread[kind]]
            if skipped:
                print(f"{argument}: skipped: {', '.join(skipped)} (convert them to .jpg)")
        elif not path.exists():
            files = sorted(map(Path, glob.glob(str(path), recursive=True)))
        if not files:
            raise InputError(f"{argument}: there is no such image")
        found |= {file.resolve(): file for file in files}
    return list(found.values())


def is_video(path: Path) -> bool:
    """Whether a file is taken for a video, by its name."""
    return path.suffix.lower() in VIDEOS


def choose_outputs(images: Sequence[Path], out: Path) -> list[Path]:
    """What is drawn of each: NAME.png or NAME.mp4, with a number before equal names.

    Names that differ in case only are one file on a Mac and on Windows, so they count as equal.

    Raises:
        InputError: one file is named for several images or for another kind of picture, or a
            picture would replace an image.
    """
    kinds = [".mp4" if is_video(image) else ".png" for image in images]
    if out.suffix.lower() in (*SUFFIXES, *UNREAD_SUFFIXES, *VIDEOS) and not out.is_dir():
        outputs = [out] * len(images)
        if len(images) > 1:
            raise InputError(f"--out {out} is one file for {len(images)} images: name a folder")
        if out.suffix.lower() != kinds[0]:
            raise InputError(f"--out {out}: {images[0]} becomes a {kinds[0]}, or name a folder")
    else:
        stems = Counter(image.stem.casefold() for image in images)
        outputs = []
        for index, (image, kind) in enumerate(zip(images, kinds)):
            name = image.stem
            if stems[name.casefold()] > 1:
                while name.casefold() in stems:
                    name = f"{index}_{name}"
            outputs.append(out / f"{name}{kind}")
    originals = {str(image.resolve()).casefold() for image in images}
    for output in outputs:
        if str(output.resolve()).casefold() in originals:
            raise InputError(f"{output} would replace an image by a picture: set another --out")
    return outputs


Segment: TypeAlias = Callable[[Any], SegmentationResult]


def demo_image(image: Path, output: Path, segment: Segment, files: OutputFolder) -> dict[str, Any]:
    """Segment and draw a photograph; returns what ``--json`` says of it."""
    result = segment(image)
    with replacing(output) as part:
        result.draw().save(part)
    files.add(output.stem, result, image)
    print(f"{image}  {result.summary()}  {output}")
    height, width = result.labels.shape
    return dict(width=width, height=height, picture=str(output), areas=result.areas())


def demo_video(video: Path, output: Path, segment: Segment, files: OutputFolder) -> dict[str, Any]:
    """Segment every frame of a video and draw them into another; shares are their means."""
    frames, areas = VideoReader(video), Counter[str]()
    files.remove_frames(output.stem)
    with video_writer(output, frames.rate) as add:
        for number, (frame, time) in enumerate(frames, start=1):
            result = segment(frame)
            add(np.asarray(result.draw(legend="all")), time)
            files.add(f"{output.stem}/{number:06}", result, None)  # (beside NAME.png of a photo)
            areas.update(result.areas())
            print(f"\r{video}  {number} frames  {output}", end="", flush=True)
    print()
    height, width = result.labels.shape
    means = {name: share / number for name, share in areas.items()}
    return dict(width=width, height=height, picture=str(output), frames=number, areas=means)


def check_arguments(
    args: argparse.Namespace, images: Sequence[Path], outputs: Sequence[Path]
) -> None:
    """Refuse what cannot be done, before the model is loaded, which takes a while.

    Args:
        args: what was typed.
        images: what is segmented.
        outputs: what is drawn of each image.

    Raises:
        InputError: arguments contradict each other, or files of the user's might be replaced.
    """
    folder = outputs[0].parent.resolve()
    if args.save and (inside := [each for each in images if folder in each.resolve().parents]):
        raise InputError(
            f"--save writes folders into {outputs[0].parent}, which holds {inside[0]}, and might "
            "replace files of yours: set another --out"
        )
    if "html" in args.save and any(map(is_video, images)):
        raise InputError("--save html is for photographs: a video has too many frames for a page")
    if args.classes is not None:
        make_vocabulary(args.classes, args.seen)
    elif not (args.config or args.checkpoint or args.onnx or args.model):
        raise InputError('CLIP without training looks for what it is told: --classes "cat, dog"')
    if (args.model and (args.config or args.onnx)) or (args.revision and not args.model):
        raise InputError("--model brings its own config, and --revision is of --model")


def load_inferencer(args: argparse.Namespace) -> ZeroShotInferencer | OnnxInferencer:
    """The model that the arguments name."""
    if args.onnx:
        files = dict(config=args.config, checkpoint=args.checkpoint)
        return OnnxInferencer(args.onnx, **files, device=args.device)
    if args.model:
        return ZeroShotInferencer.from_pretrained(args.model, args.revision, args.device)
    return ZeroShotInferencer(args.config, args.checkpoint, args.device)


def main(argv: Sequence[str] | None = None) -> None:
    """Segment and draw; ``InputError`` at the end names the images that could not be segmented."""
    args = parse_args(argv)
    if hasattr(sys.stdout, "reconfigure"):  # a file's name may be no text
        sys.stdout.reconfigure(errors="backslashreplace")
    images = find_images(args.images)
    outputs = choose_outputs(images, args.out)
    background = read_background(args.background)
    check_arguments(args, images, outputs)
    inferencer = load_inferencer(args)
    vocabulary = inferencer.vocabulary(args.classes, args.seen)
    done: dict[str, Any] = {}
    failed: dict[str, str] = {}
    settings = dict(
        config=inferencer.config, checkpoint=inferencer.checkpoint, classes=vocabulary.classes,
        setting=vocabulary.setting,
    )  # fmt: skip
    options_said = {"background": args.background, "refine": args.refine}
    written = OutputFolder(outputs[0].parent, args.save, settings | options_said)
    options = dict(background=background, refine=args.refine)
    segment = functools.partial(inferencer, text=vocabulary, **options)
    outputs[0].parent.mkdir(parents=True, exist_ok=True)  # before work, or each image would fail
    try:
        for image, output in zip(images, outputs):
            try:
                demo = demo_video if is_video(image) else demo_image
                done[str(image)] = demo(image, output, segment, written)
            except InputError as error:
                failed[str(image)] = str(error)
            except OSError as error:  # such as a name that is too long with what is added to it
                failed[str(image)] = f"{image}: {error}"
    finally:  # a run that is interrupted keeps what was done, and what was there if nothing was
        if done or failed:
            written.finish()
            if args.json:
                content = settings | dict(images=done, failed=failed)
                write_text(args.json, json.dumps(content, indent=2, ensure_ascii=False))
    if failed:
        raise InputError("not segmented: " + "; ".join(failed.values()))


if __name__ == "__main__":
    run(main)
