"""Captioned composites of emoji, in batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import open_clip
import torch
from torch import Tensor
from torch.utils.data import Dataset

from zegclip.datasets.mini.artwork import Drawing, by_name, class_words, load_drawings
from zegclip.datasets.mini.compositor import Scene, compose_scene

from .variation import varied

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
    """B pictures of S pixels, captions, and which caption is right for which picture.

    First come N captions that name one thing each (where the pictures show fewer than N names,
    the last captions are placeholders, not valid), then one caption of each picture, which names
    all that it shows. N depends on B and S alone, so that all batches of a size have one shape.
    """

    images: Tensor  # (B, S, S, 3) uint8 RGB
    tokens: Tensor  # (N + B, L)
    right: Tensor  # (B, N + B) bool: the caption is right for the picture
    valid: Tensor  # (N + B,) bool


class Composer:
    """Draws batches; the same seed and number give the same batch.

    Args:
        batch_size: pictures of 96 pixels in a batch; four times as many of 48.
        class_share: how many of the objects are of VOC's classes.
        splits: whose drawings are shown.
        length: of a text in tokens. (Captions are tokenised here, word by word and in the loader's
            processes: for the training's own it would be most of a GPU's step.)
    """

    def __init__(
        self, seed: int, batch_size: int, class_share: float, splits: Sequence[str], length: int
    ):
        self.groups = by_name(d for d in load_drawings() if d.split in splits)
        self.classes = [name for name, group in self.groups.items() if group[0].is_class]
        self.others = [name for name, group in self.groups.items() if not group[0].is_class]
        self.words = class_words()
        self.seed, self.batch_size, self.class_share = seed, batch_size, class_share
        self.tokenizer = open_clip.SimpleTokenizer(context_length=length)
        self.word_tokens: dict[str, list[int]] = {}

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

    def tokens(self, captions: Sequence[str]) -> Tensor:
        """(M, L): what the tokenizer gives, but each word is looked up once."""
        rows = torch.zeros(len(captions), self.tokenizer.context_length, dtype=torch.long)
        for row, caption in zip(rows, captions, strict=True):
            ids = [self.tokenizer.sot_token_id]
            for word in caption.split():
                if word not in self.word_tokens:
                    self.word_tokens[word] = self.tokenizer.encode(word)
                ids += self.word_tokens[word]
            ids = [*ids[: len(row) - 1], self.tokenizer.eot_token_id]
            row[: len(ids)] = torch.tensor(ids)
        return rows

    def batch(self, number: int, size: int) -> Batch:
        """The batch of a number; pictures of ``size`` pixels."""
        rng = np.random.default_rng([self.seed, size, number])
        scenes = [self.scene(rng, size) for _ in range(self.batch_size * (96 // size) ** 2)]
        shown = [{d.name for d in scene.drawings} for scene in scenes]
        names = sorted(set().union(*shown))
        slots = len(self.classes) + len(scenes) * (1 if size < 96 else 3)
        names = [names[i] for i in np.sort(rng.permutation(len(names))[:slots])]  # seldom fewer
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
        # Fill up the names.
        unused = slots - len(names)
        name_captions += ["a"] * unused
        shows = np.pad(shows, ((0, 0), (0, unused)))
        valid = torch.ones(slots + len(scenes), dtype=torch.bool)
        valid[len(names) : slots] = False
        return Batch(
            images=torch.from_numpy(np.stack([scene.image for scene in scenes])),
            tokens=self.tokens([*name_captions, *captions]),
            right=torch.from_numpy(np.concatenate([shows, np.array(fits).T], 1)),
            valid=valid,
        )

    def scene(self, rng: np.random.Generator, size: int) -> Scene:
        """A crop with one or two objects, or a scene with one to four."""
        side = None
        if size < 96:
            count = 1 if rng.random() < 0.55 else 2
            side = CROP_OBJECT_SIDE[count]
        else:
            count = int(rng.choice(4, p=(0.25, 0.3, 0.25, 0.2))) + 1
        drawings = [varied(drawing, rng) for drawing in self.pick(rng, count)]
        return compose_scene(drawings, rng, size, side)

    def all_tokens(self) -> Tensor:
        """(M, L) tokens of texts that together hold every token which captions can hold."""
        words = {w for group in self.groups.values() for d in group for w in d.words}
        texts = [*words, *(t.format("dog") for t in TEMPLATES), "a dog, a cat and a horse."]
        return self.tokenizer(texts)


class Batches(Dataset):
    """The batches of a pretraining in their order, for a loader whose processes compose them.

    Args:
        composer: draws them.
        sizes: pixels, by step.
        done: steps that are left out.
    """

    def __init__(self, composer: Composer, sizes: Sequence[int], done: int = 0):
        self.composer, self.sizes, self.done = composer, sizes, done

    def __len__(self) -> int:
        return len(self.sizes) - self.done

    def __getitem__(self, index: int) -> Batch:
        step = index + self.done
        return self.composer.batch(step, self.sizes[step])
