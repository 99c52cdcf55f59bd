"""What the masks of a data set hold: pixels and images of each class, seen, unseen, ignored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from zegclip.errors import InputError
from zegclip.vocabulary import Vocabulary

from .file_labels import read_file_labels
from .label_checks import IGNORE_INDEX


@dataclass(frozen=True)
class MaskCount:
    """One mask.

    Attributes:
        counts: (256,) pixels of each label id; the last are ignored.
        problem: why it cannot be counted, naming the file; then ``counts`` are 0.
    """

    counts: np.ndarray
    problem: str = ""


def count_mask(info: Mapping[str, Any]) -> MaskCount:
    """Count a sample's labels as its file has them; a broken mask is a result, no error.

    Args:
        info: what :meth:`~zegclip.datasets.base.ZeroShotDataset.get_data_info` returns.
    """
    try:
        labels = read_file_labels(info)
    except InputError as error:
        return MaskCount(np.zeros(256, np.int64), str(error))
    return MaskCount(np.bincount(labels.reshape(-1), minlength=256))


@dataclass
class LabelStatistics:
    """Sums over masks, before a pipeline hides anything.

    Args:
        vocabulary: the data set's classes and split.

    Attributes:
        masks: how many were counted.
        pixels: (C,) pixels of each class.
        images: (C,) images that hold each class.
        ignored: pixels that are ignored.
        images_with_unseen: that hold a pixel of an unseen class.
        images_without_seen: that hold no pixel of a seen class.
        problems: messages of masks that could not be counted.
    """

    vocabulary: Vocabulary
    masks: int = 0
    pixels: np.ndarray = field(init=False)
    images: np.ndarray = field(init=False)
    ignored: int = 0
    images_with_unseen: int = 0
    images_without_seen: int = 0
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.pixels = np.zeros(len(self.vocabulary.classes), np.int64)
        self.images = np.zeros(len(self.vocabulary.classes), np.int64)

    @classmethod
    def of(cls, counts: Iterable[MaskCount], vocabulary: Vocabulary) -> LabelStatistics:
        """The sums of many masks' counts, in any order."""
        total = cls(vocabulary)
        for count in counts:
            total.add(count)
        total.problems.sort()
        return total

    def add(self, count: MaskCount) -> None:
        """Take in one mask."""
        if count.problem:
            self.problems.append(count.problem)
            return
        pixels = count.counts[: len(self.vocabulary.classes)]
        self.masks += 1
        self.pixels += pixels
        self.images += pixels > 0
        self.ignored += int(count.counts[IGNORE_INDEX])
        self.images_with_unseen += bool(pixels[list(self.vocabulary.unseen_ids)].any())
        self.images_without_seen += not pixels[list(self.vocabulary.seen_ids)].any()

    @property
    def shares(self) -> dict[str, float]:
        """Share of all pixels that is ``seen``, ``unseen``, ``ignored``, 0..1; of nothing, 0."""
        parts = {
            "seen": int(self.pixels[list(self.vocabulary.seen_ids)].sum()),
            "unseen": int(self.pixels[list(self.vocabulary.unseen_ids)].sum()),
            "ignored": self.ignored,
        }
        return {name: count / max(sum(parts.values()), 1) for name, count in parts.items()}

    @property
    def never(self) -> list[str]:
        """Classes without a pixel, in label order."""
        return [name for name, n in zip(self.vocabulary.classes, self.pixels, strict=True) if not n]

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        unseen = set(self.vocabulary.unseen)
        return {
            "masks": self.masks,
            "shares": self.shares,
            "images_with_unseen": self.images_with_unseen,
            "images_without_seen": self.images_without_seen,
            "never": self.never,
            "classes": {
                name: {
                    "split": "unseen" if name in unseen else "seen",
                    "pixels": int(self.pixels[index]),
                    "images": int(self.images[index]),
                }
                for index, name in enumerate(self.vocabulary.classes)
            },
            "problems": self.problems,
        }
