"""The order of a training's samples; a sample's augmentation depends on seed and position alone."""

from __future__ import annotations

import random
from collections.abc import Iterator

import numpy as np
import torch
from mmengine.dataset import InfiniteSampler as MMEngineInfiniteSampler
from mmseg.registry import DATA_SAMPLERS


class Draw(int):
    """An index of a data set that knows the random numbers of its augmentation.

    Args:
        index: of the sample.
        seed: of the training.
        place: in the order of all processes' samples.
    """

    seed: int
    place: int

    def __new__(cls, index: int, seed: int, place: int) -> Draw:
        """An int with two more numbers."""
        draw = super().__new__(cls, index)
        draw.seed, draw.place = seed, place
        return draw

    def __getnewargs__(self) -> tuple[int, int, int]:  # type: ignore[override]
        return int(self), self.seed, self.place

    # mmengine's ConcatDataset and RepeatDataset compute their inner indices with - and %.
    def __sub__(self, other: int) -> Draw:
        return Draw(int(self) - other, self.seed, self.place)

    def __mod__(self, other: int) -> Draw:
        return Draw(int(self) % other, self.seed, self.place)

    def seed_augmentation(self) -> None:
        """Seed the generators of Python, NumPy and torch with seed and position."""
        (word,) = np.random.SeedSequence([self.seed, self.place]).generate_state(1).tolist()
        random.seed(word)
        np.random.seed(word)
        torch.default_generator.manual_seed(word)


@DATA_SAMPLERS.register_module(name="InfiniteSampler")
class InfiniteSampler(MMEngineInfiniteSampler):
    """mmengine's ``InfiniteSampler``, in the same order, of :class:`Draw`.

    mmengine seeds a data worker once, so that what it draws for a sample depends on the samples
    before, the number of workers and where the run was resumed. Here it depends on the seed and
    the sample's place alone. (Registered under the same name in mmseg's registry, which our
    configs look into first.) Arguments are mmengine's.
    """

    def _infinite_indices(self) -> Iterator[int]:
        for place, index in enumerate(super()._infinite_indices()):
            yield Draw(index, self.seed, place)
