#!/usr/bin/env python
"""Export a model to ONNX, or as torch's own program; the vocabulary stays open.

The file holds the image encoder and the head. Inputs: image (B, 3, H, W), float32, normalised,
sides multiples of the patch size; class_embeddings (C, D), float32, unit rows; seen (C,), bool;
calibrated (C,), bool: in the inductive setting all classes, but no words of the background.
Outputs: probabilities (B, C, H, W), what else the method has, such as TagCLIP's trusty_map
(B, 1, H, W), and raised (B, 1, H, W): how much the calibration raised the best class, to be added
to what it is compared with, a background's probability. B, C, H and W are free.
The text encoder is not in it: --words saves the embeddings of your classes as words.npz beside it,
or zegclip.apis.OnnxInferencer takes the text encoder in torch.
--program writes the same for torch.export.load(); H and W are two patches or more there.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from support.onnx_graph import INPUTS, ExportedModel, describe, export_program, write_onnx
from torch import Tensor

from zegclip.apis import make_vocabulary
from zegclip.apis.class_words import EMBEDDINGS_FILE, ClassWords
from zegclip.apis.onnx_inferencer import open_session
from zegclip.engine.config_files import find_config, read_config
from zegclip.engine.config_options import ConfigOptions, apply_options
from zegclip.engine.launch import run
from zegclip.engine.load_model import checkpoint_meta, choose_files, load_model
from zegclip.errors import InputError
from zegclip.evaluation.training import check_as_trained
from zegclip.files import replacing
from zegclip.segmentors import ZeroShotSegmentor

# Greatest difference of a probability that is taken for rounding. (It may choose another one of
# two regions that are equally near, where a method attends to some regions alone.)
TOLERANCE = 1e-3
# Two classes whose probabilities are nearer than that may change places by such a difference.
TIE = 2 * TOLERANCE
# torch.export takes a side of one patch for a special case, and excludes it.
PROGRAM_LEAST = 2
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
    what = "what tools/train.py wrote: a .pth file (a training_free config has none)"
    add("checkpoint", nargs="?", help=what)
    what = "settings that the training had beside its config"
    add("--cfg-options", nargs="+", action=ConfigOptions, metavar="KEY=VALUE", help=what)
    add("--out", type=Path, required=True, metavar="ONNX", help="file to write")
    add(
        "--words",
        help=f'classes, "cat, a red bus"; their embeddings go to {EMBEDDINGS_FILE} beside it',
    )
    add("--check", action="store_true", help="compare each file with torch before it is written")
    add("--program", type=Path, metavar="PT2", help="write torch's exported program as well")
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
    calibrated = (torch.arange(classes) < max(1, classes - 1)) & inductive
    inputs = (image, F.normalize(embeddings, dim=-1), seen, calibrated)
    return dict(zip(INPUTS, inputs))


def run_onnx(path: Path) -> Callable[[Mapping[str, Tensor]], list[np.ndarray]]:
    """ONNX Runtime's way from inputs by name to outputs."""
    session = open_session(path)
    return lambda inputs: session.run(None, {k: each.numpy() for k, each in inputs.items()})


def run_program(path: Path) -> Callable[[Mapping[str, Tensor]], list[np.ndarray]]:
    """The exported program's way from inputs by name to outputs."""
    with path.open("rb") as file:  # (a path would have to end with .pt2)
        program = torch.export.load(file).module()
    return lambda inputs: [maps.numpy() for maps in program(*inputs.values())]


@torch.no_grad()
def check(
    model: ZeroShotSegmentor,
    compute: Callable[[Mapping[str, Tensor]], list[np.ndarray]],
    least: int = 1,
) -> None:
    """Run random images and class embeddings through both, and print how much they differ.

    Args:
        model: on the CPU, in evaluation mode.
        compute: what was exported from it: outputs from inputs by name.
        least: the fewest rows and columns of patches that it takes.

    Raises:
        InputError: a probability or an arg-max differs by more than rounding.
    """
    own, same = ExportedModel(model).eval(), True
    cases = [case for case in CASES if min(case[1:3]) >= least]
    for case, inductive in itertools.product(cases, (False, True)):
        inputs = random_inputs(model, *case, inductive)
        expected = [maps.numpy() for maps in own(**inputs)]
        found = compute(inputs)
        difference = np.max([np.abs(a - b).max() for a, b in zip(expected, found)])
        # By how much is the class that the other chooses less probable in torch than the best?
        chosen = np.take_along_axis(expected[0], found[0].argmax(1)[:, None], axis=1)
        others = (expected[0].max(axis=1, keepdims=True) - chosen > TIE).mean()
        words = "{} x {}x{} patches, {} classes".format(*case) + ", calibrated" * inductive
        print(f"{words}: greatest difference {difference:.1e}, other labels {others:.2%}")
        same &= bool(difference <= TOLERANCE and others == 0)
    if not same:
        raise InputError(
            f"what was exported and torch differ: more than {TOLERANCE} in a probability, or in an "
            f"arg-max that is no tie (within {TIE}); it is not written"
        )


def main(argv: Sequence[str] | None = None) -> None:
    """Load, export, compare, and put the files in their place."""
    args = parse_args(argv)
    vocabulary = None if args.words is None else make_vocabulary(args.words)
    cfg = read_config(find_config(args.config))
    apply_options(cfg, args.cfg_options)
    cfg, checkpoint = choose_files(cfg, args.checkpoint)
    if checkpoint is None and vocabulary is None:
        raise InputError('CLIP without training has no classes of its own: --words "cat, dog"')
    if checkpoint is not None:
        check_as_trained(checkpoint_meta(checkpoint), cfg)
    model = load_model(cfg, checkpoint, torch.device("cpu"))
    words = None if vocabulary is None else ClassWords.embed(model, vocabulary)
    program = export_program(model)
    with replacing(args.out) as part:
        write_onnx(model, program, part, describe(cfg, model))
        if args.check:
            check(model, run_onnx(part))
    print(f"written: {args.out} ({args.out.stat().st_size / 1e6:.1f} MB)")
    if args.program:
        with replacing(args.program) as part:
            with part.open("wb") as file:
                torch.export.save(program, file)
            if args.check:
                check(model, run_program(part), least=PROGRAM_LEAST)
        print(f"written: {args.program} ({args.program.stat().st_size / 1e6:.1f} MB)")
    if words is not None:
        words.save(args.out.parent / EMBEDDINGS_FILE)
        print(f"written: {args.out.parent / EMBEDDINGS_FILE} ({len(words.words)} classes)")


if __name__ == "__main__":
    run(main)
