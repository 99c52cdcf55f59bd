"""What a tiny CLIP can do without training on masks: recognition, and where patches point."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from zegclip.datasets.mini.artwork import by_name, class_words, load_drawings
from zegclip.datasets.mini.compositor import compose_scene

from .model import TinyClip, embed_patches, normalise

TEST_TEMPLATE = "a photo of a {}"


class Judge:
    """Measures zero-shot recognition and the localisation of patches."""

    def __init__(self, renderings: int = 200, scenes: int = 100):
        groups = by_name(d for d in load_drawings() if d.is_class)
        self.classes = list(groups)
        words = class_words()
        self.captions = [TEST_TEMPLATE.format(words.get(n, (n,))[0]) for n in groups]
        self.single = {}
        kinds = {"train_drawings": [0], "held_out_drawings": [1], "all_drawings": [0, 1]}
        for number, (kind, shown) in enumerate(kinds.items()):
            rng = np.random.default_rng([77, number])
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
        best = counts.argmax(-1).reshape(len(labels), -1)
        return np.where(best == len(self.classes), 255, best)

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
