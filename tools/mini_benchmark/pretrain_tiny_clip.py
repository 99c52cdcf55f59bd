#!/usr/bin/env python
"""Pretrain the tiny CLIP of the mini benchmark on captioned composites of emoji.

Image-level supervision only: a picture and the names of what it shows, never a mask. Two losses:
  * CLIP's: pictures against captions, both ways, with several right captions for a picture
    (each name alone, and the caption that names everything);
  * a fine-grained one in the spirit of FILIP and PACL: the picture's patch embeddings that agree
    most with a name say whether the picture shows it (sigmoid, as in SigLIP).
Drawings are bent, recoloured and cut (variation.py), so that few stand for all of their class.
First small crops (48 pixels, one or two objects), then whole scenes (96 pixels, one to four), of
which the tower sees a share of the patches only (as in FLIP), and all of them in the last steps.
Drawings of all splits are shown, as real CLIP has read about whatever it is tested on; masks of the
test scenes' drawings are nobody's. The weights hold OpenAI-style CLIP parameters of open_clip.

Stopped, it resumes from {out}.ckpt, which is written every few minutes, when it is called again.
On a GPU each step is a CUDA graph.

example: python tools/mini_benchmark/pretrain_tiny_clip.py --crop-steps 100 --scene-steps 50 \\
             --out /tmp/tiny_clip.safetensors
on a GPU: python tools/mini_benchmark/pretrain_tiny_clip.py --device cuda --workers 15 \\
             --out work_dirs/tiny_clip/tiny_clip.safetensors
"""

from __future__ import annotations

import json
import math
import time
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from safetensors.torch import save_file
from tiny_clip.captions import Batch, Batches, Composer
from tiny_clip.graph import Captured
from tiny_clip.judge import Judge
from tiny_clip.model import TinyClip, normalise, pictures
from torch import nn
from torch.utils.data import DataLoader

from zegclip.datasets.mini.scenes import SPLITS
from zegclip.engine.launch import run
from zegclip.files import PROJECT_ROOT, replacing, write_text

FOLDER = PROJECT_ROOT / "data" / "mini"
CLASS_SHARE = 0.6  # of the objects: VOC's classes
WEIGHT_DECAY = 0.05
KEPT = 0.5  # of the patches of a scene
CHECKPOINT_SECONDS = 240


def learning_rate(step: int, steps: int, peak: float, warmup: int = 150) -> float:
    """Linear warm-up, then a cosine to 1 % of the peak."""
    if step < warmup:
        return peak * (step + 1) / warmup
    share = (step - warmup) / max(1, steps - warmup)
    return peak * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * share)))


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate: in its tensor, if it is one, where a CUDA graph reads it."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], torch.Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


class Trainer:
    """Steps of a model: eager on the CPU, captured as CUDA graphs on a GPU."""

    def __init__(self, model: TinyClip, patch_weight: float):
        self.model, self.patch_weight = model, patch_weight
        self.trained = {n: p for n, p in model.named_parameters() if not n.startswith("fast.")}
        parameters = self.trained.values()
        groups = [  # norms and biases do not decay
            {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": WEIGHT_DECAY},
            {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
        ]
        self.device = model.clip.logit_scale.device
        cuda = self.device.type == "cuda"
        rate = torch.zeros((), device=self.device) if cuda else 0.0
        self.optimizer = torch.optim.AdamW(
            groups, lr=rate, betas=(0.9, 0.98), eps=1e-6, fused=True, capturable=cuda
        )
        self.step = Captured(self.eager_step, self.state) if cuda else self.eager_step

    def state(self) -> list[torch.Tensor]:
        """All that a step changes."""
        moments = [t for state in self.optimizer.state.values() for t in state.values()]
        return [*self.trained.values(), *moments]

    def eager_step(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        """(2,) losses; forward and backward in bfloat16, the step in float32."""
        self.model.to_fast()
        self.optimizer.zero_grad()
        losses = self.model.loss(**inputs, patch_weight=self.patch_weight)
        losses.sum().backward()
        self.model.from_fast()
        nn.utils.clip_grad_norm_(self.trained.values(), 1.0, foreach=True)
        self.optimizer.step()
        return losses.detach()

    def __call__(self, batch: Batch, kept: float, seed: Sequence[int]) -> torch.Tensor:
        """A step on a batch, of whose patches the tower sees a share of ``kept``: (2,) losses."""
        device, visual = self.device, self.model.clip.visual
        rng = np.random.default_rng([9, *seed])
        generator = torch.Generator(device).manual_seed(int(rng.integers(2**62)))
        images = pictures(batch.images, device)
        # A crop stands anywhere in the grid of position embeddings.
        grid, crop = visual.grid_size[0], images.shape[2] // visual.patch_size[0]
        places = torch.arange(grid**2).view(grid, grid)
        top, left = (int(i) for i in rng.integers(0, grid - crop + 1, 2))
        inputs = {
            "images": normalise(images),
            "tokens": self.model.known(batch.tokens),
            "right": batch.right,
            "valid": batch.valid,
            "positions": places[top : top + crop, left : left + crop].flatten(),
        }
        if kept < 1:
            order = torch.rand(len(images), crop**2, generator=generator, device=device).argsort(1)
            inputs["kept"] = order[:, : int(kept * crop**2)]
        return self.step({name: tensor.to(device) for name, tensor in inputs.items()})


def parse_args(argv: list[str] | None = None) -> Namespace:
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=FOLDER / "tiny_clip.safetensors")
    parser.add_argument("--config", type=Path, default=FOLDER / "tiny_clip.json")
    parser.add_argument("--start", type=Path, help="weights to go on from (.safetensors)")
    parser.add_argument(
        "--splits", nargs="+", choices=SPLITS, default=list(SPLITS), help="whose drawings are shown"
    )
    parser.add_argument("--crop-steps", type=int, default=2000, help="steps on 48-pixel crops")
    parser.add_argument("--scene-steps", type=int, default=13000, help="on half-seen scenes")
    parser.add_argument("--full-steps", type=int, default=24000, help="on scenes")
    parser.add_argument("--batch-size", type=int, default=40, help="scenes; crops: four times")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--patch-weight", type=float, default=0.5, help="of the patch loss")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, default=1, help="processes that compose pictures")
    parser.add_argument("--judge", type=Path, help="only measure these weights (.safetensors)")
    parser.add_argument("--judge-every", type=int, default=4000, help="steps; saves too")
    parser.add_argument("--judge-number", type=int, default=400, help="pictures of each kind")
    return parser.parse_args(argv)


def save(model: TinyClip, report: dict[str, Any], args: Namespace) -> None:
    """Write the weights, and beside them their scores and the settings of the pretraining."""
    with replacing(args.out) as part:
        save_file(model.export(), part)
    settings = {k: v for k, v in vars(args).items() if not isinstance(v, Path) and k != "judge"}
    report = report | {"settings": settings}
    write_text(args.out.with_name(f"{args.out.stem}_report.json"), json.dumps(report, indent=2))


def resume(checkpoint: Path, model: TinyClip, train: Trainer) -> tuple[int, float]:
    """Load what a stopped training has left, if anything: its steps and seconds so far."""
    if not checkpoint.exists():
        return 0, 0.0
    state = torch.load(checkpoint, map_location=train.device, weights_only=True)
    model.load_state_dict(state["model"])
    train.optimizer.load_state_dict(state["optimizer"])
    print(f"resumed after {state['done']} steps", flush=True)
    return state["done"], state["seconds"]


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    torch.manual_seed(args.seed)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    config = json.loads(args.config.read_text())
    length = config["text_cfg"]["context_length"]
    composer = Composer(args.seed, args.batch_size, CLASS_SHARE, args.splits, length)
    model = TinyClip(config, composer.all_tokens()).to(args.device)
    judge = Judge(composer.tokenizer, args.judge_number)
    if args.judge:
        model.load_exported(args.judge)
        print(json.dumps({key: round(value, 2) for key, value in judge(model).items()}, indent=1))
        return
    if args.start:
        model.load_exported(args.start)
    train = Trainer(model, args.patch_weight)
    sizes = [48] * args.crop_steps + [96] * (args.scene_steps + args.full_steps)
    steps, checkpoint = len(sizes), args.out.with_suffix(".ckpt")
    done, seconds = resume(checkpoint, model, train)
    # Processes compose beside the training; one needs less time for a batch than a CPU's step.
    batches = Batches(composer, sizes, done)
    loader = DataLoader(batches, batch_size=None, num_workers=args.workers, prefetch_factor=8)
    began, saved = time.monotonic() - seconds, time.monotonic()
    mean_losses: torch.Tensor | None = None
    for step, batch in enumerate(loader, done):
        set_learning_rate(train.optimizer, learning_rate(step, steps, args.lr))
        kept = KEPT if step < args.crop_steps + args.scene_steps else 1.0
        losses = train(batch, kept, [args.seed, step])
        mean_losses = losses.clone() if mean_losses is None else losses.lerp(mean_losses, 0.95)
        done, seconds = step + 1, time.monotonic() - began
        if done % 50 == 0:
            clip, patch = mean_losses.tolist()
            values = f"clip {clip:.3f} patch {patch:.3f}"
            print(f"step {done}/{steps}  {values}  {seconds / done:.3f} s/step", flush=True)
        judged = done % args.judge_every == 0 or done == steps
        if judged:
            model.to_fast()
            report = {"steps": done, "of": steps, "minutes": round(seconds / 60, 1)}
            report |= {key: round(value, 2) for key, value in judge(model).items()}
            print(json.dumps(report), flush=True)
            save(model, report, args)
        if judged or time.monotonic() - saved > CHECKPOINT_SECONDS:
            saved = time.monotonic()
            state = {"model": model.state_dict(), "optimizer": train.optimizer.state_dict()}
            with replacing(checkpoint) as part:
                torch.save(state | {"done": done, "seconds": seconds}, part)
    checkpoint.unlink(missing_ok=True)


if __name__ == "__main__":
    run(main)
