#!/usr/bin/env python
"""Learnable parameters and GFLOPs of a config's model; needs neither weights nor data.

One multiply-add counts as one, as in the papers; products of matrices and convolutions count, as
torch's counter has it. Class embeddings are computed once for a vocabulary: the text encoder's
operations are shown by themselves and are no part of an image's.

example: python tools/get_flops.py configs/zegclip_voc_inductive.py
"""

from __future__ import annotations

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS, MODELS
from results_table import DATA, record
from support.flops import counting
from torch._subclasses.fake_tensor import FakeTensorMode

from zegclip.datasets import ZeroShotDataset
from zegclip.engine.config_files import find_config, methods_with, read_config
from zegclip.engine.config_options import ConfigOptions, apply_options
from zegclip.engine.launch import run
from zegclip.errors import InputError
from zegclip.files import PROJECT_ROOT
from zegclip.segmentors import ZeroShotSegmentor
from zegclip.vocabulary import Vocabulary

PARTS = ("image_encoder", "text_encoder", "decode_head")
# Parameters that the published code holds and that have no effect on a mask, so that our models do
# not have them, in the papers' size (D = 512, 2048 hidden, 3 layers). Both methods: value, output,
# feed-forward network and two norms of the last decoder layer, 2,627,072. ZegCLIP: three
# self-attention blocks with their norms that nothing calls, 3,154,944. TagCLIP: two such norms,
# 2,048.
PAPERS_WIDTH = 512
UNUSED_AS_PUBLISHED = {"zegclip": 2_627_072 + 3_154_944, "tagclip": 2_627_072 + 2_048}


def build_model(cfg: Config) -> tuple[ZeroShotSegmentor, Vocabulary]:
    """The model of a config with random weights, and the classes that its test asks for.

    Raises:
        InputError: its data set has no vocabulary.
    """
    init_default_scope("mmseg")
    dataset = cfg.test_dataloader.dataset
    kind = DATASETS.get(dataset.type)
    if kind is None or not issubclass(kind, ZeroShotDataset):
        raise InputError(f"{cfg.filename}: {dataset.type} has no vocabulary: use a ZeroShotDataset")
    cfg.model.clip.weights = "random"
    return MODELS.build(cfg.model), kind.vocabulary_of(dataset)


def learnable_parameters(model: ZeroShotSegmentor) -> dict[str, int]:
    """Learnable numbers by part, and ``total``."""
    counts = {
        part: sum(p.numel() for p in model.get_submodule(part).parameters() if p.requires_grad)
        for part in PARTS
    }
    return counts | {"total": sum(counts.values())}


@torch.no_grad()
def gigaflops(
    model: ZeroShotSegmentor, size: tuple[int, int], vocabulary: Vocabulary
) -> dict[str, float]:
    """Operations by part, in 10^9.

    ``total`` is for one image of ``size`` (H, W) at test time: image encoder and head.
    ``text_encoder`` is for the class embeddings of the vocabulary: once and for all where the text
    encoder is fixed (they are cached), in every training step where it learns.
    """
    model.eval()
    # Texts become tokens before, and the encoder keeps them; the rest is counted by shapes alone:
    # thousands of texts would take minutes.
    model.text_encoder._tokens_of(tuple(word for words in vocabulary.words for word in words))
    with FakeTensorMode(allow_non_fake_inputs=True):
        classes = torch.empty(len(vocabulary.classes), model.image_encoder.embed_dims)
        with counting() as image:
            embeddings = model.image_encoder(torch.empty(1, 3, *size))
        with counting() as head:
            model.decode_head(*embeddings, classes)
        with counting() as text:
            model.text_encoder.embed(vocabulary.words)  # not its cache on disk
    # (torch counts two for a multiply-add.)
    encoder, decoder, words = (c.get_total_flops() / 2 / 1e9 for c in (image, head, text))
    return {
        "image_encoder": encoder,
        "decode_head": decoder,
        "total": encoder + decoder,
        "text_encoder": words,
    }


def cost(path: Path, shape: Sequence[int] | None = None, options: Any = None) -> dict[str, Any]:
    """What a config's model costs, as plain data.

    ``shape``: (H, W) of the image; by default the crop of its sliding window, or the training's.
    """
    cfg = read_config(path)
    apply_options(cfg, options, trains=False)
    model, vocabulary = build_model(cfg)
    height, width = shape or cfg.model.test_cfg.get("crop_size") or model.data_preprocessor.size
    patch = model.image_encoder.patch_size
    if min(height, width) < 1 or height % patch or width % patch:
        raise InputError(f"--shape {height} {width}: multiples of {patch} are needed")
    learnable = learnable_parameters(model)
    as_published = None
    unused = UNUSED_AS_PUBLISHED.get(path.stem.partition("_")[0])
    if unused and model.image_encoder.embed_dims == PAPERS_WIDTH:
        as_published = learnable["total"] + unused
    return {
        "image": [height, width],
        "classes": len(vocabulary.classes),
        "learnable": learnable,
        "learnable_as_published": as_published,
        "gflops": gigaflops(model, (height, width), vocabulary),
    }


def main(argv: list[str] | None = None) -> None:
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("configs", nargs="*", metavar="CONFIG")
    parser.add_argument("--shape", nargs=2, type=int, metavar=("H", "W"), help="default: crop's")
    parser.add_argument("--cfg-options", nargs="+", action=ConfigOptions, metavar="KEY=VALUE")
    parser.add_argument(
        "--record",
        action="store_true",
        help="all methods on VOC, COCO-Stuff and Context into docs/results/cost.json and its pages",
    )
    args = parser.parse_args(argv)
    if args.record == bool(args.configs):
        parser.error("name a config, such as configs/zegclip_voc_inductive.py, or say --record")
    if args.record and (args.shape or args.cfg_options):
        parser.error("--record is for the configs as they are: give nothing else")
    paths = [find_config(config) for config in args.configs]
    if args.record:
        names = [f"{method}_{data}_inductive.py" for method in methods_with("voc") for data in DATA]
        paths = [path for name in names if (path := PROJECT_ROOT / "configs" / name).is_file()]
    costs = {path.stem: cost(path, args.shape, args.cfg_options) for path in paths}
    if args.record:
        record("cost", costs)
    for name, entry in costs.items():
        print(f"{name}: an image of {entry['image']}, {entry['classes']} classes")
        for part in (*PARTS, "total"):
            learnable, gflops = entry["learnable"][part] / 1e6, entry["gflops"][part]
            print(f"  {part:14} {learnable:6.2f} M learnable {gflops:9.1f} GFLOPs")
        if as_published := entry["learnable_as_published"]:
            note = "with what has no effect on a mask"
            print(f"  as published   {as_published / 1e6:6.2f} M learnable, {note}")


if __name__ == "__main__":
    run(main)
