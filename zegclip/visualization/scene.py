"""An image of a data set with its ground truth, at the size in which a figure shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from zegclip.vocabulary import IGNORE_INDEX as IGNORED

from .overlay import draw_labels
from .words import Word, class_words, with_words


@dataclass(frozen=True)
class Scene:
    """What the panels of one row have in common.

    Args:
        name: of the image file, without suffix.
        image: ``(h, w, 3)`` uint8, RGB, resized to the panel.
        labels: ground truth at the image's own size, ``(H, W)``, 255 where it is ignored.
        metainfo: of the data set: ``classes``, ``palette``, ``unseen``.
    """

    name: str
    image: np.ndarray
    labels: np.ndarray
    metainfo: dict[str, Any]

    @classmethod
    def of(cls, sample: Any, metainfo: dict[str, Any], panel_height: int) -> Scene:
        """The scene of a sample of a test data set.

        Args:
            sample: with ``img_path`` and ``gt_sem_seg``.
            metainfo: of the data set.
            panel_height: pixels; the width follows from the image.
        """
        with Image.open(sample.img_path) as file:
            picture = file.convert("RGB")
        width = max(1, round(picture.width * panel_height / picture.height))
        picture = picture.resize((width, panel_height), Image.Resampling.LANCZOS)
        labels = sample.gt_sem_seg.data[0].cpu().numpy().astype(np.int64)
        name = str(sample.img_path).replace("\\", "/").rpartition("/")[2].rpartition(".")[0]
        return cls(name, np.asarray(picture), labels, dict(metainfo))

    @property
    def scale(self) -> tuple[float, float]:
        """Pixels of the panel in a pixel of the image, (x, y)."""
        return (
            self.image.shape[1] / self.labels.shape[1],
            self.image.shape[0] / self.labels.shape[0],
        )

    def present(self) -> list[int]:
        """Ids of the classes in the ground truth, the largest first."""
        ids, counts = np.unique(self.labels[self.labels < len(self.classes)], return_counts=True)
        return [int(label) for label in ids[np.argsort(-counts, kind="stable")]]

    @property
    def classes(self) -> tuple[str, ...]:
        """Names in label order."""
        return tuple(self.metainfo["classes"])

    def is_unseen(self, label: int) -> bool:
        """Whether a class is unseen."""
        return self.classes[label] in self.metainfo["unseen"]

    def picture(self) -> Image.Image:
        """The image as it is."""
        return Image.fromarray(self.image)

    def resized_labels(self, labels: np.ndarray) -> np.ndarray:
        """A label map or mask at the panel's size: ``(H, W)`` -> ``(h, w)``."""
        size = (self.image.shape[1], self.image.shape[0])
        values = Image.fromarray(labels.astype(np.int32))
        return np.asarray(values.resize(size, Image.Resampling.NEAREST)).astype(labels.dtype)

    def resized_map(self, values: np.ndarray) -> np.ndarray:
        """A map of numbers at the panel's size: ``(H, W)`` -> ``(h, w)`` float32."""
        size = (self.image.shape[1], self.image.shape[0])
        picture = Image.fromarray(values.astype(np.float32))
        return np.asarray(picture.resize(size, Image.Resampling.BILINEAR))

    def coloured(self, labels: np.ndarray, font_size: int) -> Image.Image:
        """A label map over the image, with the names of its classes under it.

        Args:
            labels: ``(H, W)``.
            font_size: of the names, pixels.
        """
        meta = self.metainfo
        palette, unseen = meta["palette"], meta["unseen"]
        picture = draw_labels(
            self.image,
            self.resized_labels(labels),
            self.classes,
            palette,
            unseen,
            write_names=False,
        )
        return with_words(picture, class_words(labels, self.classes, palette, unseen), font_size)

    def class_word(self, label: int) -> Word:
        """A class's name in black or, if it is unseen, in red."""
        (word,) = class_words(
            np.full((1, 1), label), self.classes, self.metainfo["palette"], self.metainfo["unseen"]
        )
        return word._replace(swatch=None)


def bare_where_ignored(prediction: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """A prediction without the pixels that the ground truth ignores, which count nowhere."""
    return np.where(labels == IGNORED, IGNORED, prediction)
