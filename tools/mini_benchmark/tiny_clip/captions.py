"""Captioned composites of emoji, in batches that a process composes beside the training."""

from __future__ import annotations

import multiprocessing
import os
import queue
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.queues import Queue
from typing import Any

import cv2
import numpy as np
import torch

from zegclip.datasets.mini.artwork import Drawing, by_name, class_words, load_drawings
from zegclip.datasets.mini.compositor import Scene, compose_scene

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
        self.groups = by_name(d for d in load_drawings() if not d.held_out)
        self.classes = [name for name, group in self.groups.items() if group[0].is_class]
        self.others = [name for name, group in self.groups.items() if not group[0].is_class]
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
        """A template filled with "dog", "dog and a cat" or "dog, a cat and a bus"."""
        template = TEMPLATES[rng.integers(len(TEMPLATES))]
        return template.format(
            " and a ".join([*filter(None, [", a ".join(words[:-1])]), words[-1]])
        )

    def batch(self, number: int, size: int) -> Batch:
        """The batch of a number; pictures of ``size`` pixels."""
        rng = np.random.default_rng([self.seed, size, number])
        scenes = [self.scene(rng, size) for _ in range(self.batch_size * (96 // size) ** 2)]
        shown = [{d.name for d in scene.drawings} for scene in scenes]
        names = sorted(set().union(*shown))
        shows = np.array([[name in here for name in names] for here in shown])
        name_captions = []
        for name in names:
            words = self.words.get(name, (name,))
            # The first word is the one of the test: half of the time.
            word = words[0] if rng.random() < 0.5 else words[rng.integers(len(words))]
            name_captions.append(self.caption(rng, [word]))
        captions, fits = [], []
        for scene in scenes:
            drawings = [scene.drawings[i] for i in rng.permutation(len(scene.drawings))]
            said = {d.name: d.words[rng.integers(len(d.words))] for d in drawings}
            captions.append(self.caption(rng, list(said.values())))
            fits.append(
                [
                    said.keys() == here and all(said[d.name] in d.words for d in other.drawings)
                    for here, other in zip(shown, scenes, strict=True)
                ]
            )
        images = np.stack([scene.image for scene in scenes])
        return Batch(images, name_captions, captions, shows, np.array(fits).T)

    def scene(self, rng: np.random.Generator, size: int) -> Scene:
        """A crop with one or two objects, or a scene with one to four."""
        side = None
        if size < 96:
            count = 1 if rng.random() < 0.55 else 2
            side = CROP_OBJECT_SIDE[count]
        else:
            count = int(rng.choice(4, p=(0.25, 0.3, 0.25, 0.2))) + 1
        # Now and then strong: held-out drawings differ in colour. Always strong learns slowly.
        colour = 3.0 if rng.random() < 0.3 else 1.0
        return compose_scene(self.pick(rng, count), rng, size, side, colour)

    def all_captions(self) -> list[str]:
        """Texts with every token that captions can hold."""
        words = {w for group in self.groups.values() for d in group for w in d.words}
        return [*words, *(t.format("dog") for t in TEMPLATES), "a dog, a cat and a horse."]


def produce(composer: Composer, plan: list[tuple[int, int]], out: Queue[Any]) -> None:
    """Process: put the batches of the plan into the queue."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    os.nice(5)
    for number, size in plan:
        out.put((size, composer.batch(number, size)))


def batches(composer: Composer, plan: list[tuple[int, int]], max_uses: int = 3) -> Iterator[Batch]:
    """The batches of the plan; one is shown again where composing is slower than learning."""
    context = multiprocessing.get_context("fork")
    line = context.Queue(maxsize=12)
    worker = context.Process(target=produce, args=(composer, plan, line), daemon=True)
    worker.start()
    rng = np.random.default_rng(0)
    kept: list[tuple[Batch, int]] = []  # with the number of uses
    size_now = None
    for _, size in plan:
        if size != size_now:
            kept, size_now = [], size
        fresh = None
        while fresh is None:
            try:
                found, batch = line.get_nowait() if kept else line.get()
                if found == size:
                    fresh = batch, 0
            except queue.Empty:
                fresh = kept.pop(int(rng.integers(len(kept))))
        batch, uses = fresh
        yield batch
        if uses + 1 < max_uses:
            kept = [*kept, (batch, uses + 1)][-16:]
    worker.terminate()
