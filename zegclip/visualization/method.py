"""A trained model with the images that it is shown on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.dataset import pseudo_collate
from mmengine.structures import PixelData

from zegclip.datasets import read_image
from zegclip.vocabulary import Vocabulary, make_palette

from .overlay import OPACITY, colour_labels
from .sheet import Name, Panel

BARE = -1  # in label maps that are drawn: a pixel without colour
_LEAST_SHARE = 0.004  # of the pixels: below, a class is not named


class Scene(NamedTuple):
    """An image of a data set and its ground truth.

    Attributes:
        image: ``(H, W, 3)`` uint8, RGB.
        labels: ``(H, W)`` int64; :data:`BARE` where it is ignored.
        vocabulary: the data set's.
    """

    image: np.ndarray
    labels: np.ndarray
    vocabulary: Vocabulary

    def present(self, labels: np.ndarray | None = None) -> list[int]:
        """Ids of the classes in a label map, default the ground truth, the largest first."""
        labels = self.labels if labels is None else labels
        ids, counts = np.unique(labels[labels != BARE], return_counts=True)
        large = counts >= _LEAST_SHARE * labels.size
        return [int(label) for label in ids[large][np.argsort(-counts[large], kind="stable")]]

    def unseen(self) -> list[int]:
        """The unseen ones among the classes of the ground truth, the largest first."""
        return [label for label in self.present() if label in self.vocabulary.unseen_ids]

    def name(self, label: int) -> Name:
        """A class's name as it is written under a panel."""
        classes, palette = self.vocabulary.classes, self._palette()
        return Name(classes[label], label in self.vocabulary.unseen_ids, palette[label])

    def panel(self, labels: np.ndarray) -> Panel:
        """A label map ``(H, W)`` over the image, with the names of its classes under it."""
        names = [self.name(label) for label in self.present(labels)]
        colours = colour_labels(labels, self._palette(), OPACITY)
        return Panel(self.image, overlay=colours, names=names)

    def _palette(self) -> Sequence[tuple[int, int, int]]:
        return self.vocabulary.palette or make_palette(len(self.vocabulary.classes))


@dataclass
class Method:
    """One of the models of a figure.

    Args:
        title: over its column.
        model: a :class:`~zegclip.segmentors.ZeroShotSegmentor` in evaluation mode with the data
            set's vocabulary.
        dataset: a test data set.
        indices: of the images in ``dataset``, one a row of the figure; the same images for all
            methods of a figure, whatever the order of their data sets.

    Example:
        >>> method = Method("ZegCLIP", model, dataset, images_with(dataset, count=4))
        >>> FIGURES.get("predictions")([method]).savefig("predictions.png")
    """

    title: str
    model: Any
    dataset: Any
    indices: Sequence[int]

    def data(self, row: int) -> dict[str, Any]:
        """The image of a row as a batch of one, as ``model.test_step`` takes it."""
        return pseudo_collate([self.dataset[self.indices[row]]])

    @torch.no_grad()
    def predict(self, row: int) -> Any:
        """The sample of a row with ``pred_sem_seg`` and the method's extra maps."""
        (sample,) = self.model.test_step(self.data(row))
        return sample

    def scene(self, row: int) -> Scene:
        """The image of a row and its ground truth."""
        sample = self.dataset[self.indices[row]]["data_samples"]
        vocabulary = Vocabulary.from_metainfo(self.dataset.metainfo)
        labels = sample.gt_sem_seg.data[0].cpu().numpy().astype(np.int64)
        labels[labels >= len(vocabulary.classes)] = BARE
        return Scene(read_image(sample.img_path), labels, vocabulary)


def predicted_labels(sample: Any, scene: Scene) -> np.ndarray:
    """The predicted label map, ``(H, W)`` int64; bare where the ground truth ignores pixels.

    They count nowhere. Pixels that are predicted to be none of the classes are bare as well.
    """
    labels = sample.pred_sem_seg.data[0].cpu().numpy().astype(np.int64)
    bare = (scene.labels == BARE) | (labels >= len(scene.vocabulary.classes))
    return np.where(bare, BARE, labels)


def extra_maps(sample: Any) -> dict[str, np.ndarray]:
    """What the method predicts beside the labels, by name: ``(H, W)`` float32, 0..1."""
    return single_maps(
        {
            name: value.data.float().cpu().numpy()
            for name, value in sample.items()
            if isinstance(value, PixelData) and not name.startswith(("gt_", "pred_", "seg_"))
        }
    )


def single_maps(maps: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Maps to be drawn, one of each name: K maps called "name" become "name", "name 2", ...

    Args:
        maps: by name, ``(H, W)`` or ``(K, H, W)``.

    Returns:
        ``(H, W)`` each.
    """
    single = {}
    for name, values in maps.items():
        for number, each in enumerate(values.reshape(-1, *values.shape[-2:]), start=1):
            single[name if number == 1 else f"{name} {number}"] = each
    return single
