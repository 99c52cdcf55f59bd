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
import multiprocessing
import os
import queue
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import zegclip.compat  # noqa: F401  isort: skip  (first: without it open_clip may not import)
import cv2
import numpy as np
import open_clip
import torch
import torch.nn.functional as F
from open_clip.model import CLIP
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from zegclip.datasets.mini.artwork import Drawing, by_name, class_words, load_drawings
from zegclip.datasets.mini.compositor import compose_scene

MEAN = (123.675, 116.28, 103.53)  # RGB, of ImageNet, as the data preprocessor of the configs
STD = (58.395, 57.12, 57.375)
TEMPLATES = (
    "a photo of a {}.",
    "a photo of a {}",
    "a photo of a {}.",
    "{}",
    "a {}",
    "a picture of a {}.",
    "there is a {} in the scene.",
    "this is a photo of a {}.",
    "a photo of the {}.",
)
TEST_TEMPLATE = "a photo of a {}"
# Longest side of the objects as a share of a 48-pixel crop, by their number.
CROP_OBJECT_SIDE = {1: (0.5, 1.0), 2: (0.42, 0.75)}


@dataclass
class Batch:
    """Pictures, captions, and which caption is right for which picture."""

    images: np.ndarray  # (B, S, S, 3) uint8 RGB
    names: list[str]  # N captions of one name each
    captions: list[str]  # further captions
    shows: np.ndarray  # (B, N) bool: the picture shows the name
    fits: np.ndarray  # (B, len(captions)) bool: the caption is right for the picture


class Composer:
    """Draws batches; the same seed and number give the same batch.

    Args:
        batch_size: pictures of 96 pixels in a batch; four times as many of 48.
        class_share: how many of the objects are of VOC's classes.
    """

    def __init__(self, seed: int, batch_size: int, class_share: float):
        groups = by_name(d for d in load_drawings() if not d.held_out)
        self.groups = groups
        self.classes = [n for n in groups if groups[n][0].is_class]
        self.others = [n for n in groups if not groups[n][0].is_class]
        self.words = class_words()
        self.seed, self.batch_size, self.class_share = seed, batch_size, class_share

    def pick(self, rng: np.random.Generator, number: int) -> list[Drawing]:
        """Drawings of different names."""
        names: list[str] = []
        while len(names) < number:
            pool = self.classes if rng.random() < self.class_share else self.others
            name = pool[rng.integers(len(pool))]
            if name not in names:
                names.append(name)
        return [self.groups[n][rng.integers(len(self.groups[n]))] for n in names]

    def caption(self, rng: np.random.Generator, words: Sequence[str]) -> str:
        template = TEMPLATES[rng.integers(len(TEMPLATES))]
        joined = (
            " and a ".join(words)
            if len(words) < 3
            else (", a ".join(words[:-1]) + " and a " + words[-1])
        )
        return template.format(joined)

    def batch(self, number: int, size: int) -> Batch:
        rng = np.random.default_rng([self.seed, size, number])
        scenes = []
        for _ in range(self.batch_size * (96 // size) ** 2):
            if size < 96:
                count = 1 if rng.random() < 0.55 else 2
                side = CROP_OBJECT_SIDE[count]
            else:
                count, side = int(rng.choice(4, p=(0.25, 0.3, 0.25, 0.2))) + 1, None
            # Now and then strong: held-out drawings differ in colour. Always strong learns slowly.
            colour = 3.0 if rng.random() < 0.3 else 1.0
            scenes.append(compose_scene(self.pick(rng, count), rng, size, side, colour))
        names = sorted({d.name for s in scenes for d in s.drawings})
        column = {name: i for i, name in enumerate(names)}
        shows = np.zeros((len(scenes), len(names)), bool)
        for row, scene in enumerate(scenes):
            shows[row, [column[d.name] for d in scene.drawings]] = True
        name_captions = []
        for name in names:
            words = self.words.get(name, (name,))
            # The first word is the one of the test: half of the time.
            word = words[0] if rng.random() < 0.5 else words[rng.integers(len(words))]
            name_captions.append(self.caption(rng, [word]))
        captions, fits = [], []
        alike: dict[frozenset[str], list[int]] = {}
        for row, scene in enumerate(scenes):
            alike.setdefault(frozenset(d.name for d in scene.drawings), []).append(row)
        for scene in scenes:
            drawings = [scene.drawings[i] for i in rng.permutation(len(scene.drawings))]
            said = {d.name: d.words[rng.integers(len(d.words))] for d in drawings}
            right = np.zeros(len(scenes), bool)
            for row in alike[frozenset(said)]:
                right[row] = all(said[d.name] in d.words for d in scenes[row].drawings)
            captions.append(self.caption(rng, list(said.values())))
            fits.append(right)
        images = np.stack([s.image for s in scenes])
        return Batch(images, name_captions, captions, shows, np.stack(fits, axis=1))

    def all_captions(self) -> list[str]:
        """Texts with every token that captions can hold."""
        words = {w for group in self.groups.values() for d in group for w in d.words}
        return [*words, *(t.format("dog") for t in TEMPLATES), "a dog, a cat and a horse."]


def produce(composer: Composer, plan: list[tuple[int, int]], out) -> None:
    """Process: put the batches of the plan into the queue."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    os.nice(5)
    for number, size in plan:
        out.put((size, composer.batch(number, size)))


def batches(composer: Composer, plan: list[tuple[int, int]], max_uses: int) -> Iterator[Batch]:
    """The batches of the plan; one is shown again where composing is slower than learning."""
    context = multiprocessing.get_context("fork")
    line = context.Queue(maxsize=12)
    worker = context.Process(target=produce, args=(composer, plan, line), daemon=True)
    worker.start()
    rng = np.random.default_rng(0)
    kept: list[list] = []  # [batch, uses]
    size_now = None
    for _, size in plan:
        if size != size_now:
            kept, size_now = [], size
        fresh = None
        while fresh is None:
            try:
                found, batch = line.get_nowait() if kept else line.get()
                if found == size:
                    fresh = [batch, 0]
            except queue.Empty:
                fresh = kept.pop(int(rng.integers(len(kept))))
        fresh[1] += 1
        yield fresh[0]
        if fresh[1] < max_uses:
            kept.append(fresh)
            kept = kept[-16:]
    worker.terminate()


def embed_patches(visual: nn.Module, images: Tensor, window: tuple[int, int] = (0, 0)) -> Tensor:
    """What open_clip's tower computes, for every patch: its projected embedding.

    Their mean is the image embedding of a tower with ``pool_type: avg``. Attention is written out:
    on the CPU torch's fused one is several times slower backwards in bfloat16 at such sizes.

    Args:
        images: (B, 3, H, W), normalised.
        window: row and column of the crop's first patch in the grid of position embeddings.

    Returns:
        (B, H/p * W/p, D), not normalised.
    """
    patch = visual.patch_size[0]
    batch, _, height, width = images.shape
    rows, columns = height // patch, width // patch
    x = images.view(batch, 3, rows, patch, columns, patch).permute(0, 2, 4, 1, 3, 5)
    x = F.linear(x.reshape(batch, rows * columns, -1), visual.conv1.weight.flatten(1))
    grid = visual.positional_embedding[1:].unflatten(0, visual.grid_size)
    top, left = window
    x = x + grid[top : top + rows, left : left + columns].flatten(0, 1)
    cls = visual.class_embedding + visual.positional_embedding[0]
    x = visual.ln_pre(torch.cat([cls.expand(batch, 1, -1), x], dim=1))
    for block in visual.transformer.resblocks:
        heads = block.attn.num_heads
        tokens, channels = x.shape[1:]
        qkv = F.linear(block.ln_1(x), block.attn.in_proj_weight, block.attn.in_proj_bias)
        qkv = qkv.view(batch, tokens, 3, heads, -1).permute(2, 0, 3, 1, 4)
        query, key, value = qkv.reshape(3, batch * heads, tokens, -1)
        scale = (channels // heads) ** -0.5
        weights = torch.bmm(query * scale, key.transpose(1, 2)).softmax(-1)
        mixed = torch.bmm(weights, value).view(batch, heads, tokens, -1)
        x = x + block.attn.out_proj(mixed.transpose(1, 2).reshape(batch, tokens, channels))
        x = x + block.mlp(block.ln_2(x))
    return visual.ln_post(x[:, 1:]) @ visual.proj


def normalise(images: np.ndarray) -> Tensor:
    """(B, H, W, 3) uint8 -> (B, 3, H, W) bfloat16."""
    x = torch.from_numpy(images).float()
    x = (x - torch.tensor(MEAN)) / torch.tensor(STD)
    return x.permute(0, 3, 1, 2).bfloat16().contiguous()


def both_ways(logits: Tensor, right: Tensor) -> Tensor:
    """CLIP's loss with several right answers: (B, M) logits and (B, M) bool."""
    target = right.float()
    rows = -(F.log_softmax(logits, 1) * target).sum(1) / target.sum(1)
    columns = -(F.log_softmax(logits, 0) * target).sum(0) / target.sum(0)
    return (rows.mean() + columns.mean()) / 2


class TinyClip(nn.Module):
    """open_clip's CLIP in training: vocabulary cut to the captions' tokens, tower in bfloat16."""

    def __init__(self, config: dict, texts: Sequence[str]):
        super().__init__()
        self.clip = CLIP(**config)
        length = config["text_cfg"]["context_length"]
        self.tokenizer = open_clip.SimpleTokenizer(context_length=length)
        # Ascending ids, so that the end token stays the largest: open_clip pools at the argmax.
        self.used = self.tokenizer(list(texts)).unique()
        self.full_embedding = self.clip.token_embedding.weight.detach().clone()
        self.clip.token_embedding = nn.Embedding.from_pretrained(
            self.full_embedding[self.used].clone(), freeze=False
        )
        self.fast = CLIP(**config).visual.bfloat16()
        # Temperature and offset of the patch loss: from few positives, as in SigLIP.
        self.patch_scale = nn.Parameter(torch.tensor(math.log(10.0)))
        self.patch_bias = nn.Parameter(torch.tensor(-5.0))
        self.cache: dict[str, Tensor] = {}

    def texts(self, captions: Sequence[str]) -> Tensor:
        """(M, D) unit rows."""
        new = [c for c in captions if c not in self.cache]
        if new:
            self.cache.update(zip(new, torch.searchsorted(self.used, self.tokenizer(new))))
        return self.clip.encode_text(torch.stack([self.cache[c] for c in captions]), True)

    @torch.no_grad()
    def to_fast(self) -> None:
        for fast, master in zip(self.fast.parameters(), self.clip.visual.parameters()):
            fast.copy_(master)
            fast.grad = None

    @torch.no_grad()
    def from_fast(self) -> None:
        for fast, master in zip(self.fast.parameters(), self.clip.visual.parameters()):
            if fast.grad is not None:
                master.grad = fast.grad.float()

    def loss(self, batch: Batch, window: tuple[int, int], patch_weight: float) -> dict[str, Tensor]:
        patches = embed_patches(self.fast, normalise(batch.images), window)
        image = F.normalize(patches.float().mean(1), dim=-1)
        texts = self.texts([*batch.names, *batch.captions])
        shows, fits = torch.from_numpy(batch.shows), torch.from_numpy(batch.fits)
        scale = self.clip.logit_scale.exp().clamp(max=100)
        loss_clip = both_ways(scale * image @ texts.T, torch.cat([shows, fits], 1))
        patches = F.normalize(patches, dim=-1)
        similar = (patches @ texts[: len(batch.names)].T.bfloat16()).float()  # (B, P, N)
        pooled = ((similar.detach() * 12).softmax(1) * similar).sum(1)
        logits = pooled * self.patch_scale.exp() + self.patch_bias
        each = F.binary_cross_entropy_with_logits(logits, shows.float(), reduction="none")
        loss_patch = each.sum() / shows.sum()
        return {"clip": loss_clip, "patch": loss_patch * patch_weight}

    def load_exported(self, path: Path) -> None:
        """Take the weights of an earlier run."""
        state = load_file(path)
        embedding = state.pop("token_embedding.weight").float()
        self.full_embedding = embedding
        state["token_embedding.weight"] = embedding[self.used]
        missing, unexpected = self.clip.load_state_dict(state, strict=False)
        if unexpected or set(missing) - {"attn_mask"}:
            raise SystemExit(f"{path} does not fit the config: {missing + unexpected}")
        self.to_fast()

    def export(self) -> dict[str, Tensor]:
        """open_clip's state dict, half precision."""
        state = dict(self.clip.state_dict())
        embedding = self.full_embedding.clone()
        embedding[self.used] = state["token_embedding.weight"].detach()
        state["token_embedding.weight"] = embedding
        return {k: v.detach().half().contiguous() for k, v in state.items() if k != "attn_mask"}


class Judge:
    """Measures zero-shot recognition and the localisation of patches."""

    def __init__(self, renderings: int = 200, scenes: int = 100):
        groups = by_name(d for d in load_drawings() if d.is_class)
        self.classes = list(groups)
        words = class_words()
        self.captions = [TEST_TEMPLATE.format(words.get(n, (n,))[0]) for n in groups]
        self.single = {}
        for number, kind in enumerate(("train_drawings", "held_out_drawings", "all_drawings")):
            rng = np.random.default_rng([77, number])
            shown = {"train_drawings": (False,), "held_out_drawings": (True,)}.get(
                kind, (False, True)
            )
            pools = [[d for d in groups[n] if d.held_out in shown] for n in self.classes]
            labels = np.arange(renderings) % len(self.classes)
            pictures = [
                compose_scene([pools[i][rng.integers(len(pools[i]))]], rng).image for i in labels
            ]
            self.single[kind] = np.stack(pictures), labels
        rng = np.random.default_rng(78)
        images, truths = [], []
        for _ in range(scenes):
            chosen = rng.permutation(len(self.classes))[: rng.integers(1, 5)]
            several = [groups[self.classes[i]] for i in chosen]
            scene = compose_scene([pool[rng.integers(len(pool))] for pool in several], rng)
            images.append(scene.image)
            truths.append(np.concatenate([[255], chosen])[scene.mask])
        self.scenes = np.stack(images), np.stack(truths)

    def patch_labels(self, grid: int) -> np.ndarray:
        """(n, grid * grid) class that covers most of the patch, 255 for background."""
        labels = self.scenes[1]
        side = labels.shape[1] // grid
        cells = labels.reshape(-1, grid, side, grid, side).transpose(0, 1, 3, 2, 4)
        counts = np.stack([(cells == i).sum((3, 4)) for i in [*range(len(self.classes)), 255]], -1)
        best = counts.argmax(-1)
        best[best == len(self.classes)] = 255
        return best.reshape(len(labels), -1)

    @torch.no_grad()
    def __call__(self, model: TinyClip) -> dict[str, float]:
        texts = model.texts(self.captions)

        def patches(images: np.ndarray) -> Tensor:
            parts = [normalise(images[i : i + 50]) for i in range(0, len(images), 50)]
            return torch.cat([embed_patches(model.fast, part).float() for part in parts])

        top1 = {}
        for kind, (images, labels) in self.single.items():
            image = F.normalize(patches(images).mean(1), dim=-1)
            right = (image @ texts.T).argmax(1).numpy() == labels
            top1[f"top1_{kind}"] = float(right.mean() * 100)
        dense = F.normalize(patches(self.scenes[0]), dim=-1) @ texts.T
        truth = self.patch_labels(int(dense.shape[1] ** 0.5))
        guess = dense.argmax(-1).numpy()
        seen = truth != 255
        confusion = np.zeros((20, 20))
        np.add.at(confusion, (truth[seen], guess[seen]), 1)
        union = confusion.sum(0) + confusion.sum(1) - confusion.diagonal()
        best = dense.amax(-1).numpy()
        return {
            **top1,
            "dense_accuracy": float(confusion.diagonal().sum() / confusion.sum() * 100),
            "dense_miou": float((confusion.diagonal() / union.clip(1)).mean() * 100),
            "object_similarity": float(best[seen].mean()),
            "background_similarity": float(best[~seen].mean()),
        }


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
        epilog="example: python tools/mini/pretrain_tiny_clip.py --crop-steps 100 --scene-steps 50 "
        "--out /tmp/tiny_clip.safetensors",
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
