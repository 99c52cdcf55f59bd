"""Random crops, their classes counted by a histogram."""

from __future__ import annotations

import cv2
import numpy as np
from mmseg.datasets.transforms import RandomCrop
from mmseg.registry import TRANSFORMS

from zegclip.vocabulary import IGNORE_INDEX


@TRANSFORMS.register_module()
class FastRandomCrop(RandomCrop):
    """mmseg's ``RandomCrop``, the same crops, many times faster.

    With ``cat_max_ratio`` mmseg counts the classes of up to eleven candidates by sorting their
    pixels, which takes more than half of the time of the whole pipeline. Here the label map's 8-bit
    values are counted by a histogram.

    Args:
        crop_size: (height, width), pixels.
        cat_max_ratio: a candidate is taken whose largest class has at most this share of the pixels
            that are not ignored; the eleventh is taken in any case.

    Example:
        >>> dict(type="FastRandomCrop", crop_size=(512, 512), cat_max_ratio=0.75)
    """

    def __init__(self, crop_size: int | tuple[int, int], cat_max_ratio: float = 1.0) -> None:
        size = crop_size if isinstance(crop_size, int) else tuple(crop_size)
        super().__init__(size, cat_max_ratio, IGNORE_INDEX)

    def crop_bbox(self, results: dict) -> tuple[int, int, int, int]:
        """(top, bottom, left, right) of the crop."""
        box = self._random_box(results["img"])
        if self.cat_max_ratio >= 1:
            return box
        # (In an image of one class no candidate is better than another.)
        several = np.count_nonzero(_counts(results["gt_seg_map"])) > 1
        for _ in range(10):
            if several:
                counts = _counts(self.crop(results["gt_seg_map"], box))
                largest = counts.max() / max(counts.sum(), 1)
                if np.count_nonzero(counts) > 1 and largest < self.cat_max_ratio:
                    break
            box = self._random_box(results["img"])
        return box

    def _random_box(self, image: np.ndarray) -> tuple[int, int, int, int]:
        (height, width), (full_height, full_width) = self.crop_size, image.shape[:2]
        top = np.random.randint(0, max(full_height - height, 0) + 1)
        left = np.random.randint(0, max(full_width - width, 0) + 1)
        return top, top + height, left, left + width


def _counts(labels: np.ndarray) -> np.ndarray:
    """Pixels of each class, without ignored ones, of uint8 labels ``(H, W)``."""
    return cv2.calcHist([labels], [0], None, [256], [0, 256]).ravel()[:IGNORE_INDEX]
