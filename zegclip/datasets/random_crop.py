"""Random crops, their classes counted in a fraction of the time."""

from __future__ import annotations

import numpy as np
from mmseg.datasets.transforms import RandomCrop
from mmseg.registry import TRANSFORMS

from zegclip.vocabulary import IGNORE_INDEX


@TRANSFORMS.register_module()
class FastRandomCrop(RandomCrop):
    """mmseg's ``RandomCrop``, the same crops, many times faster.

    With ``cat_max_ratio`` mmseg sorts the pixels of up to eleven candidates. Here the classes are
    looked up on a coarse grid and each counted by one comparison.

    Args:
        crop_size: (height, width), pixels.
        cat_max_ratio: a candidate is taken whose largest class has less than this share of the
            pixels that are not ignored; the eleventh is taken in any case.

    Example:
        >>> dict(type="FastRandomCrop", crop_size=(512, 512), cat_max_ratio=0.75)
    """

    def __init__(self, crop_size: int | tuple[int, int], cat_max_ratio: float = 1.0) -> None:
        size = crop_size if isinstance(crop_size, int) else tuple(crop_size)
        super().__init__(size, cat_max_ratio, IGNORE_INDEX)

    def crop_bbox(self, results: dict) -> tuple[int, int, int, int]:
        """(top, bottom, left, right) of the crop."""
        box = self._random_box(results["img"])
        for _ in range(10 if self.cat_max_ratio < 1 else 0):
            if largest_share(self.crop(results["gt_seg_map"], box)) < self.cat_max_ratio:
                break
            box = self._random_box(results["img"])
        return box

    def _random_box(self, image: np.ndarray) -> tuple[int, int, int, int]:
        (height, width), (full_height, full_width) = self.crop_size, image.shape[:2]
        top = np.random.randint(0, max(full_height - height, 0) + 1)
        left = np.random.randint(0, max(full_width - width, 0) + 1)
        return top, top + height, left, left + width


def largest_share(labels: np.ndarray) -> float:
    """The largest class's share (0..1) of the pixels that are not ignored; 1 if all are.

    Args:
        labels: (H, W) uint8.
    """
    total = np.count_nonzero(labels != IGNORE_INDEX)
    classes = np.unique(labels[::8, ::8])
    counts = [np.count_nonzero(labels == each) for each in classes if each != IGNORE_INDEX]
    # Classes between the grid's points matter only if they could be larger.
    if total - sum(counts) > max(counts, default=0):
        counts = list(np.bincount(labels.reshape(-1), minlength=256)[:IGNORE_INDEX])
    return max(counts, default=0) / total if total else 1.0
