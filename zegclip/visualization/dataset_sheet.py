"""A sheet of a data set: the labels in the files beside what the pipeline makes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont, ImageOps

from zegclip.datasets.file_labels import read_file_labels
from zegclip.datasets.label_checks import IGNORE_INDEX

from .overlay import SEEN_COLOUR, UNSEEN_COLOUR, draw_labels, hatch

TITLES = ("classes in the file", "labels in the file", "after the pipeline", "its labels")
_IGNORED_COLOUR = (120, 120, 120)
_WIDEST = 3  # panels are at most so many times as wide as high


def dataset_row(dataset: Any, index: int, panel_height: int = 224) -> list[Image.Image]:
    """One sample as pictures, a row of :func:`~zegclip.visualization.sheet.make_sheet`.

    The classes' names and shares, unseen ones in red; the image with the labels of its file; the
    image as the pipeline made it, augmentation included; that with its labels, so in training what
    the loss sees. Ignored pixels are hatched.

    Args:
        dataset: a :class:`~zegclip.datasets.base.ZeroShotDataset` whose pipeline packs its
            samples.
        index: which sample.
        panel_height: pixels; every picture is brought to it.

    Raises:
        InputError: the mask is broken.
    """
    meta = dataset.metainfo
    info = dataset.get_data_info(index)
    file_labels = read_file_labels(info)
    packed = dataset[index]
    with Image.open(info["img_path"]) as file:
        original = np.asarray(_upright(file))
    image = _shown(packed["inputs"])
    labels = packed["data_samples"].gt_sem_seg.data[0].numpy().astype(np.uint8)
    bare = np.zeros(image.shape[:2], np.uint8)
    return [
        legend(info["img_path"], file_labels, meta, panel_height),
        _panel(original, file_labels, meta, panel_height),
        draw_labels(*_fitted(image, bare + IGNORE_INDEX, panel_height), (), ()),
        _panel(image, labels, meta, panel_height),
    ]


def legend(
    file: str, labels: np.ndarray, meta: Mapping[str, Any], height: int, width: int = 210
) -> Image.Image:
    """The classes of a label map with their shares of its pixels, largest first.

    Args:
        file: the image's, of which the name is shown.
        labels: ``(H, W)`` ids; 255 is "ignored".
        meta: the data set's metainfo: ``classes``, ``palette`` and ``unseen``.
        height: pixels, at least.
        width: pixels.
    """
    classes, unseen = meta["classes"], meta["unseen"]
    ids, counts = np.unique(labels, return_counts=True)
    entries: list[tuple[str, tuple[int, int, int], Sequence[int] | None]] = []
    for label, count in sorted(zip(ids, counts, strict=True), key=lambda pair: -pair[1]):
        share = f"{100 * count / labels.size:.1f} %"
        if label >= len(classes):
            entries.append((f"{share} ignored", _IGNORED_COLOUR, None))
            continue
        colour = UNSEEN_COLOUR if classes[label] in unseen else SEEN_COLOUR
        entries.append((f"{share} {classes[label]}", colour, meta["palette"][label]))
    font, line = ImageFont.load_default(size=13), 18
    picture = Image.new("RGB", (width, max(height, line * (len(entries) + 1) + 6)), "white")
    pen = ImageDraw.Draw(picture)
    name = file.replace("\\", "/").rpartition("/")[2]
    pen.text((2, 2), name, fill=SEEN_COLOUR, font=font)
    for row, (text, colour, swatch) in enumerate(entries, start=1):
        y = 2 + row * line
        if swatch is not None:
            pen.rectangle((2, y + 2, 14, y + 14), fill=tuple(swatch))
        pen.text((20, y), text, fill=colour, font=font)
    return picture


def _panel(
    image: np.ndarray, labels: np.ndarray, meta: Mapping[str, Any], height: int
) -> Image.Image:
    image, labels = _fitted(image, labels, height)
    image = hatch(image, labels >= len(meta["classes"]))
    return draw_labels(image, labels, meta["classes"], meta["palette"], meta["unseen"])


def _fitted(image: np.ndarray, labels: np.ndarray, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Both in one size: a test pipeline scales the image, not its labels."""
    size = (min(round(height * image.shape[1] / image.shape[0]), _WIDEST * height) or 1, height)
    scaled = Image.fromarray(image).resize(size, Image.Resampling.BILINEAR)
    nearest = Image.fromarray(labels).resize(size, Image.Resampling.NEAREST)
    return np.asarray(scaled), np.asarray(nearest)


def _shown(inputs: torch.Tensor) -> np.ndarray:
    """(H, W, 3) uint8, RGB, of a packed image: (3, H, W), BGR as mmcv reads it."""
    return np.ascontiguousarray(
        inputs.clamp(0, 255).to(torch.uint8).numpy()[::-1].transpose(1, 2, 0)
    )


def _upright(file: Image.Image) -> Image.Image:
    """RGB, with the EXIF orientation applied, as mmcv loads it."""
    return ImageOps.exif_transpose(file).convert("RGB")
