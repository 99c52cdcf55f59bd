#!/usr/bin/env python
"""Pretrain the tiny CLIP of the mini benchmark on captioned composites of emoji.

Image-level supervision only: a picture and the names of what it shows, never a mask. Two losses:
  * CLIP's: pictures against captions, both ways, with several right captions for a picture
    (each name alone, and the caption that names everything);
  * a fine-grained one in the spirit of FILIP and PACL: the picture's patch embeddings that agree
    most with a name say whether the picture shows it (sigmoid, as in SigLIP).
First small crops (48 pixels, one or two objects), then whole scenes (96 pixels, one to four).
Held-out drawings are never shown. The weights hold OpenAI-style CLIP parameters of open_clip.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tools.mini.tiny_clip.captions import Composer, batches  # isort: skip  (first: the stack)
import cv2
import numpy as np
import torch
from safetensors.torch import save_file
from tools.mini.tiny_clip.judge import Judge
from tools.mini.tiny_clip.model import TinyClip
from torch import nn


def learning_rate(step: int, steps: int, peak: float, warmup: int = 150) -> float:
    """Linear warm-up, then a cosine to 1 % of the peak."""
    if step < warmup:
        return peak * (step + 1) / warmup
    share = (step - warmup) / max(1, steps - warmup)
    return peak * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * share)))


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: python tools/mini_benchmark/pretrain_tiny_clip.py --crop-steps 100 "
        "--scene-steps 50 --out /tmp/tiny_clip.safetensors",
    )
    parser.add_argument("--config", type=Path, default=ROOT / "data/mini/tiny_clip.json")
    parser.add_argument("--out", type=Path, default=ROOT / "data/mini/tiny_clip.safetensors")
    parser.add_argument("--crop-steps", type=int, default=1500, help="steps on 48-pixel crops")
    parser.add_argument("--scene-steps", type=int, default=4900, help="steps on 96-pixel scenes")
    parser.add_argument("--batch-size", type=int, default=40, help="scenes; crops: four times")
    parser.add_argument("--class-share", type=float, default=0.45, help="objects of VOC's classes")
    parser.add_argument("--lr", type=float, default=1.5e-3)
    parser.add_argument("--weight-decay", type=float, default=0.05)
    parser.add_argument("--patch-weight", type=float, default=0.5)
    parser.add_argument("--max-uses", type=int, default=3, help="of a batch, if composing is slow")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--judge-every", type=int, default=500, help="steps; saves too")
    parser.add_argument("--resume", type=Path, help="a checkpoint of this script (OUT.ckpt)")
    parser.add_argument("--judge", type=Path, help="only measure these weights (.safetensors)")
    parser.add_argument("--judge-number", type=int, default=200, help="renderings of each kind")
    parser.add_argument("--stop-after", type=int, help="steps, for short comparisons")
    return parser.parse_args()


def main() -> int:
    args = parse_args()
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(1)
    config = json.loads(args.config.read_text())
    composer = Composer(args.seed, args.batch_size, args.class_share)
    model = TinyClip(config, composer.all_captions())
    judge = Judge(args.judge_number)
    if args.judge:
        model.load_exported(args.judge)
        print(json.dumps({key: round(value, 2) for key, value in judge(model).items()}, indent=1))
        return 0
    trained = [p for n, p in model.named_parameters() if not n.startswith("fast.")]
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in trained if p.ndim >= 2], "weight_decay": args.weight_decay},
            {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
        ],
        lr=args.lr,
        betas=(0.9, 0.98),
        eps=1e-6,
        fused=True,
    )
    steps = args.crop_steps + args.scene_steps
    start, spent = 0, 0.0
    if args.resume:
        state = torch.load(args.resume, weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        start, spent = state["step"], state["seconds"]
    plan = [(i, 48 if i < args.crop_steps else 96) for i in range(start, steps)]
    grid = model.clip.visual.grid_size[0]
    began = time.time() - spent
    mean_loss: dict[str, float] = {}
    report: dict = {}
    for step, batch in zip(range(start, steps), batches(composer, plan, args.max_uses)):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, steps, args.lr)
        crop = batch.images.shape[1] * grid // config["vision_cfg"]["image_size"]
        rng = np.random.default_rng([args.seed, 9, step])
        top, left = (int(i) for i in rng.integers(0, grid - crop + 1, 2))
        model.to_fast()
        optimizer.zero_grad()
        losses = model.loss(batch, (top, left), args.patch_weight)
        sum(losses.values()).backward()
        model.from_fast()
        nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        for key, value in losses.items():
            mean_loss[key] = 0.95 * mean_loss.get(key, value.item()) + 0.05 * value.item()
        done = step + 1
        if done % 50 == 0:
            seconds = time.time() - began
            values = " ".join(f"{key} {value:.3f}" for key, value in mean_loss.items())
            print(f"step {done}/{steps}  {values}  {seconds / done:.3f} s/step", flush=True)
        if done % args.judge_every == 0 or done in (steps, args.stop_after):
            model.to_fast()
            seconds = time.time() - began
            report = {"steps": done, "of": steps, "minutes": round(seconds / 60, 1)}
            report |= {key: round(value, 2) for key, value in judge(model).items()}
            print(json.dumps(report), flush=True)
            args.out.parent.mkdir(parents=True, exist_ok=True)
            save_file(model.export(), args.out)
            state = {
                "model": model.state_dict(),
                "optimizer": optimizer.state_dict(),
                "step": done,
                "seconds": seconds,
            }
            torch.save(state, args.out.with_suffix(".ckpt.tmp"))
            os.replace(args.out.with_suffix(".ckpt.tmp"), args.out.with_suffix(".ckpt"))
        if done == args.stop_after:
            break
    settings = {
        k: str(v) if isinstance(v, Path) else v
        for k, v in vars(args).items()
        if k not in ("out", "config", "resume")
    }
    report = {**report, "settings": settings}
    args.out.with_name(args.out.stem + "_report.json").write_text(json.dumps(report, indent=2))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
