#!/usr/bin/env python
"""Turn a published checkpoint of ZegCLIP or TagCLIP into ours.

Reads tensors only; no code in the file is run. Beside --out NAME.pth it writes NAME.py, the config
to use it with. That says in what the published models differ from ours: they add CLIP's class
embedding twice, and TagCLIP's trusty map says where *unseen* classes are.

example:
  python tools/convert_checkpoint.py zegclip_voc.pth --method zegclip --out work_dirs/zegclip.pth
"""

from __future__ import annotations

import os
import warnings
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from model_converters.published import METHODS, from_published, summary
from torch import Tensor

import tagclip  # noqa: F401
from zegclip.datasets import ZeroShotDataset
from zegclip.datasets.from_config import dataset_class, iter_datasets
from zegclip.engine.config_files import find_config, read_config
from zegclip.engine.launch import run
from zegclip.engine.start_up import check
from zegclip.errors import InputError
from zegclip.files import read_checkpoint, replacing, write_text
from zegclip.segmentors import ZeroShotSegmentor

# Old files carry numbers of their logs as numpy's; these types hold nothing but values.
_SCALAR = np.float64(0).__reduce__()[0]
NUMPY = [
    (np.dtype, "numpy.dtype"),
    (_SCALAR, "numpy.core.multiarray.scalar"),  # as numpy 1 wrote it
    (_SCALAR, "numpy._core.multiarray.scalar"),
    *((kind, f"numpy.dtypes.{kind.__name__}") for kind in map(type, map(np.dtype, "fdilq?"))),
]


def parse_args(argv: list[str] | None = None) -> Namespace:
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path, help="the file to convert")
    parser.add_argument("--method", choices=METHODS, required=True)
    parser.add_argument("--out", type=Path, required=True, metavar="PTH", help="the file to write")
    parser.add_argument(
        "--config",
        help="of ours, for the model and its CLIP weights (default: METHOD_voc_inductive.py, or "
        "METHOD_coco_inductive.py where the file has 100 prompts); one of self-training or of full "
        "supervision needs the ..._transductive.py or ..._supervised.py: inductive ones calibrate",
    )
    parser.add_argument("--force", action="store_true", help="overwrite what is there")
    args = parser.parse_args(argv)
    if args.out.suffix != ".pth":
        parser.error(f"--out {args.out} must end with .pth")
    for path in () if args.force else (args.out, args.out.with_suffix(".py")):
        if path.exists():
            parser.error(f"{path} exists: say --force to overwrite checkpoint and config")
    return args


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a ``.pth`` file: a state dict, or a dict with ``state_dict``."""
    content = read_checkpoint(path, also=NUMPY)
    state = content.get("state_dict", content) if isinstance(content, dict) else {}
    # (mmcv saved what DistributedDataParallel wrapped under "module.".)
    tensors = {
        str(key).removeprefix("module."): value
        for key, value in state.items()
        if isinstance(value, Tensor)
    }
    if not tensors:
        raise InputError(f"{path} holds no tensors: is it a checkpoint of a model?")
    if any(key.startswith("image_encoder.") for key in tensors):
        raise InputError(f"{path} is one of ours already")
    return tensors


def build(config: Path, settings: dict[str, Any]) -> ZeroShotSegmentor:
    """The model of a config and further settings; refuses where its CLIP weights are missing."""
    cfg = read_config(config)
    cfg.merge_from_dict({"model": settings})
    check(cfg, [])
    init_default_scope("mmseg")
    with warnings.catch_warnings():  # that the published TagCLIP was trained on a leak
        warnings.simplefilter("ignore", UserWarning)
        return MODELS.build(cfg.model)


def trained_on(config: Path, method: str) -> dict[str, Any] | None:
    """The metainfo of a config's training, which the published file does not hold.

    Of a config that only tests (cross-dataset): of the method's training on COCO-Stuff.
    """
    cfg = read_config(config)
    if cfg.get("train_dataloader") is None:
        cfg = read_config(find_config(f"configs/{method}_coco_inductive.py"))
    dataset = next(iter_datasets(cfg.train_dataloader.dataset))
    kind = dataset_class(dataset)
    if kind is None or not issubclass(kind, ZeroShotDataset):
        return None
    vocabulary = kind.vocabulary_of(dataset)
    return {
        "classes": vocabulary.classes,
        "unseen": vocabulary.unseen,
        "synonyms": dict(vocabulary.synonyms),
        "setting": vocabulary.setting,
    }


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    published = read_tensors(args.checkpoint)
    prompts = published.get("backbone.prompt_embeddings")
    data = "coco" if prompts is not None and prompts.shape[-2] == 100 else "voc"
    config = find_config(args.config or f"configs/{args.method}_{data}_inductive.py").resolve()

    settings: dict[str, dict[str, Any]] = {}
    conversion = from_published(published, args.method, build(config, settings))
    settings["image_encoder"] = {"class_embedding_twice": conversion.class_embedding_twice}
    if args.method == "tagclip":
        settings["decode_head"] = {"trusty_target": "unseen_gt"}
    ours = build(config, settings)
    ours.load_state_dict({"clip_fingerprint": ours.clip_fingerprint} | conversion.state)

    meta = {"converted_from": args.checkpoint.name, "dataset_meta": trained_on(config, args.method)}
    content = {"state_dict": ours.state_dict(), "meta": meta}
    with replacing(args.out) as part:
        torch.save(content, part)
    base = os.path.relpath(config, args.out.parent.resolve())
    write_text(
        args.out.with_suffix(".py"),
        f"# For {args.out.name}, converted from {args.checkpoint.name!r} ({args.method}).\n"
        f"_base_ = {base!r}\nmodel = {settings!r}\n",
    )
    print(f"{len(conversion.state)} learned tensors converted")
    print(f"{conversion.frozen} tensors are CLIP's own and agree with the config's weights")
    if conversion.dropped:
        print(f"dropped, without effect on a mask: {summary(conversion.dropped)}")
    for part_name, values in settings.items():
        for key, value in values.items():
            print(f"model.{part_name}.{key}={value!r}")
    print(f"used as {config.name} is; --config chooses another setting")
    print(f"written: {args.out} and {args.out.with_suffix('.py')}; next:")
    print(f"  python tools/test.py {args.out.with_suffix('.py')} {args.out}")


if __name__ == "__main__":
    run(main)
