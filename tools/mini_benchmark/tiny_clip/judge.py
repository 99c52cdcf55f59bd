"""What a tiny CLIP can do without training on masks: recognition, and where patches point."""

from __future__ import annotations

import numpy as np
import open_clip
import torch
import torch.nn.functional as F
from torch import Tensor

from zegclip.datasets.mini.artwork import class_words
from zegclip.datasets.mini.compositor import compose_scene
from zegclip.datasets.mini.scenes import SPLITS, make_scene, scene_classes

from .model import TinyClip, embed_tokens, normalise, pictures, pooled

TEST_TEMPLATE = "a photo of a {}"


def patch_labels(labels: np.ndarray, grid: int) -> np.ndarray:
    """(n, grid * grid) label that covers most of the patch, of (n, S, S) labels."""
    side = labels.shape[1] // grid
    cells = labels.reshape(-1, grid, side, grid, side).transpose(0, 1, 3, 2, 4)
    counts = np.stack([(cells == label).sum((3, 4)) for label in range(21)], -1)
    return counts.argmax(-1).reshape(len(labels), -1)


class Judge:
    """Measures zero-shot recognition and the localisation of patches, by split."""

    def __init__(self, tokenizer: open_clip.SimpleTokenizer, number: int = 200):
        words = class_words()
        self.texts = tokenizer([TEST_TEMPLATE.format(words[n][0]) for n in scene_classes()])
        self.single, self.scenes = {}, {}
        for position, split in enumerate(SPLITS):
            rng = np.random.default_rng([77, position])
            pools = [[d for d in g if d.split == split] for g in scene_classes().values()]
            classes = np.arange(number) % len(pools)
            drawings = [pools[i][rng.integers(len(pools[i]))] for i in classes]
            images = np.stack([compose_scene([drawing], rng).image for drawing in drawings])
            self.single[split] = images, classes
            if split != "train":
                scenes, labels = zip(*[make_scene(split, i) for i in range(number)], strict=True)
                self.scenes[split] = np.stack([s.image for s in scenes]), np.stack(labels)

    @torch.no_grad()
    def __call__(self, model: TinyClip) -> dict[str, float]:
        """Percentages: top-1 accuracy and patch mIoU of every split."""
        texts = model.texts(self.texts)

        def embedded(images: np.ndarray) -> Tensor:
            parts = [
                normalise(pictures(images[i : i + 50], texts.device))
                for i in range(0, len(images), 50)
            ]
            return torch.cat([embed_tokens(model.fast, part).float() for part in parts])

        scores = {}
        for split, (images, classes) in self.single.items():
            guess = (pooled(model.fast, embedded(images)) @ texts.T).argmax(1).cpu().numpy()
            scores[f"top1_{split}"] = float((guess == classes).mean() * 100)
        for split, (images, labels) in self.scenes.items():
            dense = F.normalize(embedded(images)[:, 1:], dim=-1) @ texts.T
            guess = dense.argmax(-1).cpu().numpy()
            truth = patch_labels(labels, int(dense.shape[1] ** 0.5))
            confusion = np.zeros((20, 20))
            np.add.at(confusion, (truth[truth > 0] - 1, guess[truth > 0]), 1)
            union = confusion.sum(0) + confusion.sum(1) - confusion.diagonal()
            scores[f"miou_{split}"] = float((confusion.diagonal() / union.clip(1)).mean() * 100)
        return scores
