"""What the masks of a data set hold: pixels and images by class, seen, unseen and ignored."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .base import ZeroShotDataset
from .label_checks import IGNORE_INDEX, LabelError
from .transforms import LoadCheckedAnnotations
from .vocabulary import Vocabulary


@dataclass
class LabelStatistics:
    """Counts over the masks as they lie on the disk, before anything is hidden.

    Attributes:
        vocabulary: classes and split.
        pixels: ``(C,)`` by class.
        images: ``(C,)`` images that show the class.
        ignored: pixels that are ignored: background, void.
        opened: masks that were read.
        with_unseen: images with a pixel of an unseen class.
        without_seen: images without any pixel of a seen class: inductive training learns nothing
            from them but where nothing seen is.
        broken: what is wrong with the masks that cannot be used.
    """

    vocabulary: Vocabulary
    pixels: np.ndarray
    images: np.ndarray
    ignored: int = 0
    opened: int = 0
    with_unseen: int = 0
    without_seen: int = 0
    broken: list[str] = field(default_factory=list)

    def shares(self) -> dict[str, float]:
        """Shares of all pixels, 0..1: ``seen``, ``unseen``, ``ignored``."""
        total = max(1, int(self.pixels.sum()) + self.ignored)
        unseen = int(self.pixels[list(self.vocabulary.unseen_ids)].sum())
        seen = int(self.pixels.sum()) - unseen
        return {"seen": seen / total, "unseen": unseen / total, "ignored": self.ignored / total}

    def never(self) -> list[str]:
        """Classes without a pixel."""
        return [self.vocabulary.classes[index] for index in np.flatnonzero(self.images == 0)]

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "masks": self.opened,
            "shares": self.shares(),
            "images_with_unseen": self.with_unseen,
            "images_without_seen": self.without_seen,
            "never": self.never(),
            "broken": self.broken,
            "classes": {
                name: {
                    "split": "unseen" if name in self.vocabulary.unseen else "seen",
                    "pixels": int(self.pixels[index]),
                    "images": int(self.images[index]),
                }
                for index, name in enumerate(self.vocabulary.classes)
            },
        }


def label_statistics(
    dataset: ZeroShotDataset,
    sample: int | None = None,
    progress: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> LabelStatistics:
    """Count a data set's labels.

    Args:
        dataset: its masks are read, its images are not.
        sample: read only so many masks, evenly spread; ``None``: all.
        progress: wraps the indices, for a bar.
    """
    vocabulary = Vocabulary.from_metainfo(
        {key: value for key, value in dataset.metainfo.items() if key != "palette"}
    )
    count = len(vocabulary.classes)
    zeros = np.zeros(count, dtype=np.int64)
    result = LabelStatistics(vocabulary, zeros, zeros.copy())
    unseen, seen = list(vocabulary.unseen_ids), list(vocabulary.seen_ids)
    load = LoadCheckedAnnotations()
    indices = range(len(dataset))
    if sample is not None and sample < len(indices):
        indices = [int(i) for i in np.linspace(0, len(dataset) - 1, sample)]  # type: ignore[assignment]
    for index in progress(indices):
        info = dataset.get_data_info(index)
        try:
            labels = load.transform(info)["gt_seg_map"]
        except (LabelError, OSError, KeyError) as error:
            result.broken.append(str(error))
            continue
        counts = np.bincount(labels.ravel(), minlength=IGNORE_INDEX + 1)
        result.ignored += int(counts[IGNORE_INDEX])
        result.pixels += counts[:count]
        there = counts[:count] > 0
        result.images += there
        result.opened += 1
        result.with_unseen += bool(there[unseen].any())
        result.without_seen += not there[seen].any()
    return result
