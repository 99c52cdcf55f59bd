#!/usr/bin/env python
"""Export a trained model to ONNX; the vocabulary stays open.

The file holds the image encoder and the head. Inputs: image (B, 3, H, W), float32, normalised,
sides multiples of the patch size; class_embeddings (C, D), float32, unit rows; seen (C,), bool;
inductive (), bool: whether to calibrate. Outputs: probabilities (B, C, H, W) and what else the
method has, such as TagCLIP's trusty_map (B, 1, H, W). B, C, H and W are free.
The text encoder is not in it: --words saves the embeddings of your classes as words.npz beside it,
or zegclip.apis.OnnxInferencer takes the text encoder in torch.
"""

from __future__ import annotations

import argparse
import itertools
import timeit
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from support.onnx_graph import INPUTS, OnnxModel, describe, write_onnx
from torch import Tensor

from zegclip.apis import make_vocabulary
from zegclip.apis.class_words import WORDS, ClassWords
from zegclip.apis.onnx_inferencer import open_session
from zegclip.engine.launch import run
from zegclip.engine.load_model import choose_files, load_model
from zegclip.errors import InputError
from zegclip.files import replacing
from zegclip.segmentors import ZeroShotSegmentor

# Greatest difference of a probability that is taken for rounding.
TOLERANCE = 1e-3
# Two classes whose probabilities are nearer than that are a tie: either may be the greater.
TIE = 1e-5
# Images, rows and columns of patches, classes.
CASES = ((1, 16, 16, 20), (2, 7, 11, 5), (1, 19, 13, 1), (1, 1, 2, 37))


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example:\n  python tools/export_onnx.py configs/tagclip_mini_inductive.py "
        'data/mini/mini_model.pth \\\n      --out work_dirs/onnx/model.onnx --words "cat, dog" '
        "--check",
    )
    add = parser.add_argument
    add("config", help="as tools/test.py takes it")
    add("checkpoint", help="what tools/train.py wrote: a .pth file")
    add("--out", type=Path, required=True, metavar="ONNX", help="file to write")
    add("--words", help=f'classes, "cat, a red bus"; their embeddings go to {WORDS} beside it')
    add("--check", action="store_true", help="compare with torch before anything is written")
    add("--benchmark", action="store_true", help="time ONNX Runtime and torch, one thread each")
    return parser.parse_args(argv)


def random_inputs(
    model: ZeroShotSegmentor, images: int, rows: int, columns: int, classes: int, inductive: bool
) -> dict[str, Tensor]:
    """Images that are not all noise, since then all regions look alike; unit embeddings."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randn(images, 3, rows, columns, generator=generator)
    image = F.interpolate(coarse, scale_factor=model.image_encoder.patch_size, mode="bilinear")
    image += 0.3 * torch.randn(image.shape, generator=generator)
    embeddings = torch.randn(classes, model.image_encoder.embed_dims, generator=generator)
    seen = torch.arange(classes) % 3 > 0
    inputs = (image, F.normalize(embeddings, dim=-1), seen, torch.tensor(inductive))
    return dict(zip(INPUTS, inputs))


@torch.no_grad()
def check(model: ZeroShotSegmentor, path: Path) -> None:
    """Run random images and class embeddings through both, and print how much they differ.

    Args:
        model: on the CPU, in evaluation mode.
        path: what was exported from it.

    Raises:
        InputError: a probability or an arg-max differs by more than rounding.
    """
    session, own = open_session(path), OnnxModel(model).eval()
    same = True
    for case, inductive in itertools.product(CASES, (False, True)):
        inputs = random_inputs(model, *case, inductive)
        expected = [maps.numpy() for maps in own(**inputs)]
        found = session.run(None, {name: each.numpy() for name, each in inputs.items()})
        difference = np.max([np.abs(a - b).max() for a, b in zip(expected, found)])
        # By how much is the class that ONNX Runtime chooses less probable in torch than the best?
        chosen = np.take_along_axis(expected[0], found[0].argmax(1)[:, None], axis=1)
        others = (expected[0].max(axis=1, keepdims=True) - chosen > TIE).mean()
        words = "{} x {}x{} patches, {} classes".format(*case) + ", calibrated" * inductive
        print(f"{words}: greatest difference {difference:.1e}, other labels {others:.2%}")
        same &= bool(difference <= TOLERANCE and others == 0)
    if not same:
        raise InputError(
            f"ONNX Runtime and torch differ: more than {TOLERANCE} in a probability, or in an "
            f"arg-max that is no tie (within {TIE}); nothing is written"
        )


@torch.no_grad()
def benchmark(model: ZeroShotSegmentor, path: Path) -> None:
    """Print the time of one run in both, one thread each: the best of ten."""
    session, own = open_session(path, threads=1), OnnxModel(model).eval()
    inputs = random_inputs(model, *CASES[0], inductive=True)
    feed = {name: tensor.numpy() for name, tensor in inputs.items()}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torchs = min(timeit.repeat(lambda: own(**inputs), number=1, repeat=10)) * 1e3
    onnxs = min(timeit.repeat(lambda: session.run(None, feed), number=1, repeat=10)) * 1e3
    torch.set_num_threads(threads)
    times = f"torch {torchs:.1f} ms, ONNX Runtime {onnxs:.1f} ms"
    print(f"{times}: ONNX Runtime takes {onnxs / torchs:.2f} of torch's time")


def main(argv: Sequence[str] | None = None) -> None:
    """Load, export, compare, and put the files in their place."""
    args = parse_args(argv)
    vocabulary = None if args.words is None else make_vocabulary(args.words)
    cfg, checkpoint = choose_files(args.config, args.checkpoint)
    model = load_model(cfg, checkpoint, torch.device("cpu"))
    words = None if vocabulary is None else ClassWords.embed(model, vocabulary)
    with replacing(args.out) as part:
        write_onnx(model, part, describe(cfg, model))
        if args.check:
            check(model, part)
        if args.benchmark:
            benchmark(model, part)
    print(f"written: {args.out} ({args.out.stat().st_size / 1e6:.1f} MB)")
    if words is not None:
        words.save(args.out.parent / WORDS)
        print(f"written: {args.out.parent / WORDS} ({len(words.words)} classes)")


if __name__ == "__main__":
    run(main)
