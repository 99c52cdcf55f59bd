"""A sheet of a data set: the labels in the files beside what the pipeline makes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from PIL import Image, ImageOps

from zegclip.datasets.masks import image_size, read_labels
from zegclip.errors import InputError

_HEIGHT = 240  # pixels of a picture in the sheet


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
    file_labels = read_labels(info, image_size(info["img_path"]))
    try:
        with Image.open(info["img_path"]) as file:
            file_image = np.asarray(ImageOps.exif_transpose(file).convert("RGB"))
    except OSError as error:
        raise InputError(f"{info['img_path']}: not a readable image: {error}") from None
    packed = dataset[index]
    image = packed["inputs"].numpy().clip(0, 255).astype(np.uint8)  # (3, H, W), BGR
    labels = packed["data_samples"].gt_sem_seg.data[0].numpy().astype(np.uint8)
    image = image[::-1].transpose(1, 2, 0)
    return DatasetRow(Path(info["img_path"]).name, file_image, file_labels, image, labels)


def dataset_sheet(rows: Sequence[DatasetRow], metainfo: Mapping[str, Any]) -> Figure:
    """Draw samples, one a row: classes in the file, its labels, the pipeline's image and labels.

    Names of unseen classes are red, ignored pixels are hatched.

    Args:
        rows: of :func:`dataset_row`.
        metainfo: the data set's: ``classes``, ``palette`` and ``unseen``.
    """
    figure = Figure(figsize=(14, 2.8 * len(rows)), layout="constrained")
    axes = figure.subplots(len(rows), 4, squeeze=False)
    titles = ("classes in the file", "labels in the file", "after the pipeline", "its labels")
    for column, title in enumerate(titles):
        axes[0, column].set_title(title)
    for ax in axes.flat:
        ax.axis("off")
    for (legend, in_file, piped, labels), row in zip(axes, rows, strict=True):
        _draw_legend(legend, row, metainfo)
        _draw_labels(in_file, row.file_image, row.file_labels, metainfo)
        piped.imshow(_scaled(row.image))
        _draw_labels(labels, row.image, row.labels, metainfo)
    return figure


def _scaled(pixels: np.ndarray, how: Image.Resampling = Image.Resampling.BILINEAR) -> np.ndarray:
    height, width = pixels.shape[:2]
    size = (max(round(_HEIGHT * width / height), 1), _HEIGHT)
    return np.asarray(Image.fromarray(np.ascontiguousarray(pixels)).resize(size, how))


def _draw_labels(
    ax: Axes, image: np.ndarray, labels: np.ndarray, metainfo: Mapping[str, Any]
) -> None:
    image = _scaled(image).copy()
    size = (image.shape[1], image.shape[0])
    labels = np.asarray(Image.fromarray(labels).resize(size, Image.Resampling.NEAREST))
    ignored = labels >= len(metainfo["classes"])
    colours = np.asarray(metainfo["palette"])[labels[~ignored]]
    image[~ignored] = (0.4 * image[~ignored] + 0.6 * colours).astype(np.uint8)
    ax.imshow(image)
    if ignored.any():
        ax.contourf(ignored, levels=[0.5, 1.5], colors="none", hatches=["////"])


def _draw_legend(ax: Axes, row: DatasetRow, metainfo: Mapping[str, Any]) -> None:
    """The classes in a file with their shares of its pixels, largest first."""
    classes = metainfo["classes"]
    ids, counts = np.unique(row.file_labels, return_counts=True)
    handles, unseen = [], []
    for count, label in sorted(zip(counts, ids, strict=True), reverse=True):
        name = "ignored"
        look: dict[str, Any] = dict(facecolor="white", hatch="////")
        if label < len(classes):
            name, look = classes[label], dict(color=np.divide(metainfo["palette"][label], 255))
        handles.append(Patch(label=f"{name} {100 * count / row.file_labels.size:.1f} %", **look))
        unseen.append(name in metainfo["unseen"])
    columns = 1 + len(handles) // 12
    legend = ax.legend(handles=handles, loc="upper left", title=row.name, ncols=columns)
    legend.set_in_layout(False)
    for text_artist, is_unseen in zip(legend.get_texts(), unseen, strict=True):
        text_artist.set_color("red" if is_unseen else "black")
