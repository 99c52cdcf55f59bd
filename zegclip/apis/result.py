"""What a picture was segmented into."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from zegclip.vocabulary import make_palette

from .drawing import draw_result


class SegmentationResult:
    """Labels, probabilities and shares of one image.

    Args:
        labels: as the attribute.
        scores: as the attribute, or a function that gives it: large images with many words need
            gigabytes of it, so it is made when it is asked for.
        classes: as the attribute.
        image: as the attribute.
        trusty_map: as the attribute.
        palette: as the attribute; default: of :func:`~zegclip.visualization.make_palette`.
        unseen: as the attribute.

    Attributes:
        labels: ``(H, W)`` int64, index into ``classes`` of the most probable one.
        scores: ``(C, H, W)`` float32, each class's probability at each pixel (each by itself: they
            do not add up to 1). With ``seen=`` they are calibrated, and may be below 0.
        trusty_map: ``(H, W)`` float32, TagCLIP's P(seen); ``None`` with other methods.
        classes: the names, in label order.
        image: ``(H, W, 3)`` uint8, RGB, upright: what was segmented.
        palette: an RGB colour of each class.
        unseen: the classes that were called unseen.
    """

    def __init__(
        self,
        labels: np.ndarray,
        scores: np.ndarray | Callable[[], np.ndarray],
        classes: Sequence[str],
        image: np.ndarray,
        trusty_map: np.ndarray | None = None,
        palette: Sequence[tuple[int, int, int]] | None = None,
        unseen: Sequence[str] = (),
    ) -> None:
        self.labels = labels
        self._scores = scores
        self.classes = tuple(classes)
        self.image = image
        self.trusty_map = trusty_map
        self.palette = tuple(palette or make_palette(len(self.classes)))
        self.unseen = tuple(unseen)

    @property
    def scores(self) -> np.ndarray:
        """See the class."""
        if not isinstance(self._scores, np.ndarray):
            self._scores = self._scores()
        return self._scores

    def areas(self) -> dict[str, float]:
        """Every class's share of the pixels, 0..1, in label order; they add up to 1."""
        counts = np.bincount(self.labels.ravel(), minlength=len(self.classes))
        return {name: float(count / self.labels.size) for name, count in zip(self.classes, counts)}

    def draw(self, opacity: float = 0.5, legend: bool = True) -> Image.Image:
        """The image in its classes' colours, their names on it.

        Args:
            opacity: of the colours, 0..1.
            legend: put a list of colours, names and shares beside it.

        Raises:
            ValueError: the opacity is not in 0..1.
        """
        return draw_result(self, opacity, legend)

    def __repr__(self) -> str:
        height, width = self.labels.shape
        largest = sorted(self.areas().items(), key=lambda item: -item[1])[:3]
        shares = ", ".join(f"{name} {share:.0%}" for name, share in largest if share)
        return f"SegmentationResult({width}x{height}, {len(self.classes)} classes: {shares})"
