"""Scores of label maps that any other system wrote, by the same protocol."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from zegclip.datasets import LoadCheckedAnnotations, ZeroShotDataset
from zegclip.datasets.files import first_few
from zegclip.datasets.vocabulary import Vocabulary

from .scores import scores
from .zero_shot_metric import EvaluationError

# In a prediction: no class, which is wrong wherever there is a label.
NO_CLASS = 255


def find_predictions(folder: str | Path, dataset: ZeroShotDataset) -> list[Path]:
    """The prediction of every image: a PNG named after it, flat or in the image's subfolder.

    Args:
        folder: of the PNGs, as ``tools/test.py --out`` writes them.
        dataset: the test data set.

    Returns:
        The files, in the data set's order.

    Raises:
        EvaluationError: some are missing; says which, and what else is in the folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise EvaluationError(f"there is no folder {folder} of predictions")
    there = {path.relative_to(folder).with_suffix("").as_posix(): path for path in _pngs(folder)}
    found: list[Path] = []
    missing: list[str] = []
    images = [Path(dataset.get_data_info(index)["img_path"]) for index in range(len(dataset))]
    common = Path(os.path.commonpath([image.parent for image in images]))
    for image in images:
        names = (image.relative_to(common).with_suffix("").as_posix(), image.stem)
        path = next((there[name] for name in names if name in there), None)
        if path is None:
            missing.append(f"{names[0]}.png")
        else:
            found.append(path)
    if missing:
        others = sorted(set(there.values()) - set(found))
        hint = f"; it holds others, such as {others[0].name}" if others else ""
        raise EvaluationError(
            f"{len(missing)} of {len(images)} images have no prediction in {folder}: "
            f"{first_few(missing)}{hint}. A prediction is a PNG named after its image"
        )
    return found


def score_predictions(
    predictions: Iterable[Path],
    dataset: ZeroShotDataset,
    progress: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> dict[str, Any]:
    """pAcc, mIoU(S), mIoU(U), hIoU of label maps in files.

    Args:
        predictions: one an image, in the data set's order: PNGs of label ids ``0..C-1`` in the
            data set's class order, of the image's size; 255 is "no class" and counts as wrong.
        dataset: the test data set; its masks are read, its images are not.
        progress: wraps the indices, for a bar.

    Returns:
        As :func:`~zegclip.evaluation.scores.scores`.

    Raises:
        EvaluationError: files that cannot be compared: all of them, the first few by name.
    """
    vocabulary = Vocabulary.from_metainfo(dataset.metainfo)
    count = len(vocabulary.classes)
    load = LoadCheckedAnnotations()
    confusion = np.zeros((count, count + 1), dtype=np.int64)  # the last column: no class
    paths = list(predictions)
    problems: list[str] = []
    for index in progress(range(len(paths))):
        label = load.transform(dataset.get_data_info(index))["gt_seg_map"]
        try:
            predicted = _read(paths[index], label.shape, count)
        except EvaluationError as error:
            problems.append(str(error))
            continue
        valid = label != NO_CLASS
        flat = label[valid].astype(np.int64) * (count + 1) + predicted[valid]
        confusion += np.bincount(flat, minlength=confusion.size).reshape(confusion.shape)
    if problems:
        listed = "\n  ".join(problems[:10])
        more = f"\n  and {len(problems) - 10} more" if len(problems) > 10 else ""
        raise EvaluationError(
            f"{len(problems)} of {len(paths)} predictions cannot be scored:\n  {listed}{more}"
        )
    return scores(confusion[:, :count], vocabulary, unpredicted=confusion[:, count])


def _pngs(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() == ".png")


def _read(path: Path, shape: tuple[int, ...], count: int) -> np.ndarray:
    """A label map of ids ``0..count``, where ``count`` stands for no class."""
    try:
        with Image.open(path) as image:
            predicted = np.asarray(image)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise EvaluationError(f"{path}: not a readable image: {error}") from error
    if predicted.ndim != 2:
        raise EvaluationError(
            f"{path}: {predicted.shape[-1]} channels: a prediction has one number a pixel, the "
            "label id, not a colour"
        )
    if predicted.shape != shape:
        raise EvaluationError(
            f"{path}: {predicted.shape[1]}x{predicted.shape[0]} pixels (width x height), the "
            f"label map has {shape[1]}x{shape[0]}: predict at the image's own size"
        )
    predicted = predicted.astype(np.int64)
    # (Where 255 is the id of a class, there is no number left for "no class".)
    nowhere = (predicted == NO_CLASS) & (count <= NO_CLASS)
    outside = predicted[((predicted < 0) | (predicted >= count)) & ~nowhere]
    if outside.size:
        hint = ""
        if int(outside.max()) == count and not (predicted == 0).any():
            hint = " (shifted by one? The first class is 0)"
        raise EvaluationError(
            f"{path}: holds the id {int(outside[0])}, but the {count} classes are "
            f"0..{count - 1}{hint}"
        )
    return np.where(nowhere, count, predicted)
