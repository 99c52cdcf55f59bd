#!/usr/bin/env python
"""Pretrain the tiny CLIP of the mini benchmark on captioned composites of emoji.

Image-level supervision only: a picture and the names of what it shows, never a mask. Two losses:
  * CLIP's: pictures against captions, both ways, with several right captions for a picture
    (each name alone, and the caption that names everything);
  * a fine-grained one in the spirit of FILIP and PACL: the picture's patch embeddings that agree
    most with a name say whether the picture shows it (sigmoid, as in SigLIP).
First small crops (48 pixels, one or two objects), then whole scenes (96 pixels, one to four).
Held-out drawings are never shown. The weights hold OpenAI-style CLIP parameters of open_clip.

example: python tools/mini_benchmark/pretrain_tiny_clip.py --crop-steps 100 --scene-steps 50 \\
             --out /tmp/tiny_clip.safetensors
"""

from __future__ import annotations

import json
import math
import time
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from safetensors.torch import save_file
from tiny_clip.captions import Batches, Composer
from tiny_clip.judge import Judge
from tiny_clip.model import TinyClip
from torch import nn
from torch.utils.data import DataLoader

from zegclip.engine.launch import run
from zegclip.files import PROJECT_ROOT, replacing

FOLDER = PROJECT_ROOT / "data" / "mini"
CLASS_SHARE = 0.45  # of the objects: VOC's classes
WEIGHT_DECAY = 0.05
PATCH_WEIGHT = 0.5  # of the patch loss


def learning_rate(step: int, steps: int, peak: float, warmup: int = 150) -> float:
    """Linear warm-up, then a cosine to 1 % of the peak."""
    if step < warmup:
        return peak * (step + 1) / warmup
    share = (step - warmup) / max(1, steps - warmup)
    return peak * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * share)))


def parse_args(argv: list[str] | None = None) -> Namespace:
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=FOLDER / "tiny_clip.safetensors")
    parser.add_argument("--crop-steps", type=int, default=1500, help="steps on 48-pixel crops")
    parser.add_argument("--scene-steps", type=int, default=4900, help="steps on 96-pixel scenes")
    parser.add_argument("--batch-size", type=int, default=40, help="scenes; crops: four times")
    parser.add_argument("--lr", type=float, default=1.5e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--judge", type=Path, help="only measure these weights (.safetensors)")
    parser.add_argument("--judge-every", type=int, default=500, help="steps; saves too")
    parser.add_argument("--judge-number", type=int, default=200, help="renderings of each kind")
    return parser.parse_args(argv)


def save(model: TinyClip, out: Path, report: dict[str, Any], args: Namespace) -> None:
    """The weights, and beside them what they are worth and how they were made."""
    with replacing(out) as part:
        save_file(model.export(), part)
    settings = {key: value for key, value in vars(args).items() if key not in ("out", "judge")}
    with replacing(out.with_name(f"{out.stem}_report.json")) as part:
        part.write_text(json.dumps(report | {"settings": settings}, indent=2))


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    torch.manual_seed(args.seed)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    config = json.loads((FOLDER / "tiny_clip.json").read_text())
    composer = Composer(args.seed, args.batch_size, CLASS_SHARE)
    model = TinyClip(config, composer.all_captions())
    judge = Judge(args.judge_number)
    if args.judge:
        model.load_exported(args.judge)
        print(json.dumps({key: round(value, 2) for key, value in judge(model).items()}, indent=1))
        return
    trained = [p for name, p in model.named_parameters() if not name.startswith("fast.")]
    groups = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": WEIGHT_DECAY},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},  # norms and biases
    ]
    optimizer = torch.optim.AdamW(groups, lr=args.lr, betas=(0.9, 0.98), eps=1e-6, fused=True)
    steps = args.crop_steps + args.scene_steps
    sizes = [48] * args.crop_steps + [96] * args.scene_steps
    # A process composes beside the training; it needs less time for a batch than a step takes.
    loader = DataLoader(
        Batches(composer, sizes), batch_size=None, num_workers=1, prefetch_factor=12
    )
    grid = model.clip.visual.grid_size[0]
    began = time.monotonic()
    mean_loss: dict[str, float] = {}
    for step, batch in enumerate(loader):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, steps, args.lr)
        # A crop stands anywhere in the grid of position embeddings.
        crop = batch.images.shape[1] * grid // config["vision_cfg"]["image_size"]
        rng = np.random.default_rng([args.seed, 9, step])
        top, left = (int(i) for i in rng.integers(0, grid - crop + 1, 2))
        # Forward and backward in bfloat16, the step in float32.
        model.to_fast()
        optimizer.zero_grad()
        losses = model.loss(batch, (top, left), PATCH_WEIGHT)
        sum(losses.values()).backward()
        model.from_fast()
        nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        for key, value in losses.items():
            mean_loss[key] = 0.95 * mean_loss.get(key, value.item()) + 0.05 * value.item()
        done, seconds = step + 1, time.monotonic() - began
        if done % 50 == 0:
            values = " ".join(f"{key} {value:.3f}" for key, value in mean_loss.items())
            print(f"step {done}/{steps}  {values}  {seconds / done:.3f} s/step", flush=True)
        if done % args.judge_every == 0 or done == steps:
            model.to_fast()
            report = {"steps": done, "of": steps, "minutes": round(seconds / 60, 1)}
            report |= {key: round(value, 2) for key, value in judge(model).items()}
            print(json.dumps(report), flush=True)
            save(model, args.out, report, args)


if __name__ == "__main__":
    run(main)
