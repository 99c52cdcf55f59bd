#!/usr/bin/env python
"""Turn a published checkpoint of ZegCLIP or TagCLIP into ours, or ours into the published layout.

Reads tensors only; no code in the file is run. Beside ours.pth the config to use it with is
written, ours.py: the published code adds CLIP's class embedding twice, and its trusty map says
where *unseen* classes are; our model must be told.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from pathlib import Path
from typing import Any

from zegclip.errors import InputError

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import zegclip  # noqa: F401  isort: skip  (first: prepares the stack)
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from model_converters import METHODS, from_published, read_checkpoint, to_published, unused_summary
from torch import Tensor

import tagclip  # noqa: F401
from zegclip.engine import preflight
from zegclip.engine.launch import find_config
from zegclip.segmentors import ZeroShotSegmentor


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example:\n  python tools/convert_checkpoint.py zegclip_voc.pth --method zegclip "
        "--out work_dirs/published/zegclip_voc.pth",
    )
    parser.add_argument("checkpoint", type=Path, help="the file to convert")
    parser.add_argument("--method", choices=METHODS, required=True)
    parser.add_argument("--out", type=Path, required=True, metavar="PTH", help="the file to write")
    parser.add_argument(
        "--config",
        help="of ours, for the model and its CLIP weights (default: METHOD_voc_inductive.py, or "
        "METHOD_coco_inductive.py where the file has 100 prompts)",
    )
    parser.add_argument(
        "--reverse", action="store_true", help="from ours to the published layout, for the old code"
    )
    parser.add_argument("--force", action="store_true", help="overwrite what is there")
    args = parser.parse_args(argv)
    if not args.checkpoint.is_file():
        parser.error(f"there is no file {args.checkpoint}")
    if args.out.suffix != ".pth":
        parser.error(f"--out {args.out} must end with .pth")
    written = [args.out] if args.reverse else [args.out, args.out.with_suffix(".py")]
    if there := [str(path) for path in written if path.exists() and not args.force]:
        parser.error(f"{' and '.join(there)} exists: say --force to overwrite it")
    return args


def guessed_config(state: dict[str, Tensor], method: str) -> str:
    """The config of the data set whose number of prompts the file has (methods' papers)."""
    for name in ("backbone.prompt_embeddings", "image_encoder.prompts"):
        if name in state and state[name].shape[-2] == 100:
            return f"configs/{method}_coco_inductive.py"
    return f"configs/{method}_voc_inductive.py"


def build(cfg: Config) -> ZeroShotSegmentor:
    """The config's model, after checking that its CLIP weights are there."""
    preflight(cfg, [])
    init_default_scope("mmseg")
    with warnings.catch_warnings():  # that the published TagCLIP was trained on a leak
        warnings.simplefilter("ignore", UserWarning)
        return MODELS.build(cfg.model)


def quirks_of(method: str, class_embedding_twice: bool) -> dict[str, dict[str, Any]]:
    """What the config of a published checkpoint says otherwise than ours do."""
    quirks: dict[str, dict[str, Any]] = {
        "image_encoder": {"class_embedding_twice": class_embedding_twice}
    }
    if method == "tagclip":
        quirks["decode_head"] = {"trusty_target": "unseen_gt"}
    return quirks


def write(path: Path, content: dict[str, Any]) -> None:
    """Save a checkpoint; a reader never sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    torch.save(content, unfinished)
    os.replace(unfinished, path)


def convert(args: argparse.Namespace, state: dict[str, Tensor], config: Path) -> None:
    """From the published layout to ours, with the config beside it."""
    cfg = Config.fromfile(config)
    conversion = from_published(state, args.method, build(cfg))
    quirks = quirks_of(args.method, conversion.class_embedding_twice)
    cfg.merge_from_dict({"model": quirks})
    ours = build(cfg)
    ours.load_state_dict({"clip_fingerprint": ours.clip_fingerprint} | conversion.state)
    write(
        args.out,
        {"state_dict": ours.state_dict(), "meta": {"converted_from": args.checkpoint.name}},
    )
    base = os.path.relpath(config, args.out.parent.resolve())
    args.out.with_suffix(".py").write_text(
        f"# For {args.out.name}, converted from {args.checkpoint.name} ({args.method}).\n"
        f"_base_ = {base!r}\n"
        f"model = {quirks!r}\n",
        encoding="utf-8",
    )
    print(f"{len(conversion.state)} learned tensors converted")
    print(f"{conversion.frozen} tensors are CLIP's own and agree with the config's weights")
    if conversion.ignored:
        print(f"{len(conversion.ignored)} ignored, without a part in the published forward pass:")
        print("  " + unused_summary(conversion.ignored).replace("\n", "\n  "))
    for part, settings in quirks.items():
        for key, value in settings.items():
            print(f"model.{part}.{key}={value!r}")
    print(f"written: {args.out} and {args.out.with_suffix('.py')}; next:")
    print(f"  python tools/test.py {args.out.with_suffix('.py')} {args.out}")


def reverse(args: argparse.Namespace, state: dict[str, Tensor], config: Path) -> None:
    """From ours to the published layout."""
    cfg = Config.fromfile(config)
    model = build(cfg)
    model.load_state_dict({"clip_fingerprint": model.clip_fingerprint} | state)
    crop = cfg.model.test_cfg.get("crop_size")
    patch = model.image_encoder.patch_size
    grid = None if crop is None else (crop[0] // patch, crop[1] // patch)
    published = to_published(model, args.method, grid)
    write(args.out, {"state_dict": published, "meta": {"converted_from": args.checkpoint.name}})
    print(f"written: {args.out}: {len(published)} tensors in the layout of the published code")
    if not model.image_encoder.class_embedding_twice:
        print("  half of CLIP's class embedding, since that code adds it twice")


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    try:
        state = read_checkpoint(args.checkpoint)
        ours = any(key.startswith("image_encoder.") for key in state)
        if ours != args.reverse:
            raise InputError(
                f"{args.checkpoint} is one of ours: say --reverse for the published layout"
                if ours
                else f"{args.checkpoint} is not one of ours: leave --reverse out"
            )
        config = find_config(args.config or guessed_config(state, args.method)).resolve()
        (reverse if args.reverse else convert)(args, state, config)
    except (InputError, RuntimeError) as error:
        raise SystemExit(f"error: {error}") from None
    return 0


if __name__ == "__main__":
    sys.exit(main())
