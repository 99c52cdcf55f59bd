"""A sheet of a data set: the labels in the files beside what the pipeline makes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from zegclip.datasets import read_image
from zegclip.datasets.masks import read_labels
from zegclip.vocabulary import Vocabulary, make_palette

from .overlay import colour_labels
from .sheet import Name, Panel, make_sheet

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLES = ("Image in the file", "Its labels", "After the pipeline", "Its labels")
NOTE = "Shares of all pixels. Unseen classes in red, ignored pixels hatched."


class DatasetRow(NamedTuple):
    """One sample, as its files have it and as the pipeline packs it.

    (A test pipeline scales the image and not its labels.)
    """

    name: str
    file_image: np.ndarray  # (H, W, 3) uint8 RGB
    file_labels: np.ndarray  # (H, W) uint8 ids, 255 = ignored
    image: np.ndarray
    labels: np.ndarray


def dataset_row(dataset: Any, index: int) -> DatasetRow:
    """Read one sample of a :class:`~zegclip.datasets.base.ZeroShotDataset`.

    Raises:
        InputError: its mask or image cannot be used.
    """
    info = dataset.get_data_info(index)
    file_image = read_image(info["img_path"])
    file_labels = read_labels(info, (file_image.shape[0], file_image.shape[1]))
    packed = dataset[index]
    image = packed["inputs"].numpy().clip(0, 255).astype(np.uint8)  # (3, H, W), BGR
    labels = packed["data_samples"].gt_sem_seg.data[0].numpy()
    image = image[::-1].transpose(1, 2, 0)
    return DatasetRow(Path(info["img_path"]).name, file_image, file_labels, image, labels)


def dataset_sheet(rows: Sequence[DatasetRow], metainfo: Mapping[str, Any]) -> Figure:
    """Draw samples, one a row: the file's image and labels, the pipeline's image and labels.

    Args:
        rows: of :func:`dataset_row`.
        metainfo: the data set's.
    """
    vocabulary = Vocabulary.from_metainfo(metainfo)
    panels = [
        [
            Panel(row.file_image, caption=(row.name, False)),
            _labelled(row.file_image, row.file_labels, vocabulary),
            Panel(row.image),
            _labelled(row.image, row.labels, vocabulary),
        ]
        for row in rows
    ]
    return make_sheet(panels, TITLES, NOTE)


def _labelled(image: np.ndarray, labels: np.ndarray, vocabulary: Vocabulary) -> Panel:
    """Labels over their image, with every class's share of the pixels, the largest first."""
    classes = vocabulary.classes
    palette = vocabulary.palette or make_palette(len(classes))
    ignored = labels >= len(classes)
    names = []
    ids, counts = np.unique(np.where(ignored, len(classes), labels), return_counts=True)
    for count, label in sorted(zip(counts, ids), reverse=True):
        name, colour = "ignored", (255, 255, 255)
        if label < len(classes):
            name, colour = classes[label], palette[label]
        share = f"{100 * count / labels.size:.1f} %"
        names.append(Name(f"{name} {share}", name in vocabulary.unseen, colour))
    hatch = partial(_hatch, ignored=ignored, size=image.shape[:2])
    return Panel(image, colour_labels(labels, palette), names=names, draw=hatch)


def _hatch(ax: Axes, ignored: np.ndarray, size: tuple[int, int]) -> None:
    if ignored.any():
        place = (0, size[1], 0, size[0])
        ax.contourf(ignored, levels=[0.5, 1.5], colors="none", hatches=["////"], extent=place)
