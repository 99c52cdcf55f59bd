"""Scores of label maps that any other system wrote, by the protocol of our own tests."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from zegclip.datasets.base import ZeroShotDataset
from zegclip.datasets.file_labels import read_file_labels
from zegclip.datasets.files import first_few
from zegclip.errors import InputError

from .prediction_files import PredictionProblems, find_predictions
from .protocol import data_protocol, protocol_fingerprint
from .report import code_version
from .zero_shot_metric import ZeroShotIoUMetric

Progress = Callable[[Sequence[int]], Iterable[int]]


def score_predictions(
    dataset: Any, folder: Path, metric: ZeroShotIoUMetric, progress: Progress = iter
) -> list[str]:
    """Check every prediction of a data set, then evaluate the metric.

    All files are looked at before anything is said, so that one message lists everything.

    Args:
        dataset: a :class:`~zegclip.datasets.base.ZeroShotDataset` with masks; its pipeline is not
            used.
        folder: PNGs named after the images, see
            :func:`~zegclip.evaluation.prediction_files.find_predictions`. Values are label ids in
            the data set's class order. 255 is "no class": wrong where the ground truth has a
            class, and no class's false positive.
        metric: gets the counts; its ``summary`` has the numbers afterwards.
        progress: goes over the images' indices, and may show it.

    Returns:
        Names of PNGs in the folder that belong to no image of the data set.

    Raises:
        InputError: predictions are missing or cannot be scored, or the data set's own masks
            cannot be read.
    """
    if not isinstance(dataset, ZeroShotDataset) or not dataset.mask_folders():
        raise InputError(
            f"{type(dataset).__name__}: predictions are scored against a ZeroShotDataset (or a "
            "class derived from it) that has masks"
        )
    indices = range(len(dataset))
    images = [str(dataset.get_data_info(index)["img_path"]) for index in indices]
    image_root = dataset.data_prefix.get("img_path") or dataset.data_root or "."
    files = find_predictions(folder, images, image_root)
    problems = PredictionProblems(folder, len(dataset.metainfo["classes"]))
    for name in files.missing:
        problems.add("missing", name)
    metric.dataset_meta = dataset.metainfo
    metric.allow_no_class = True
    metric.results.clear()
    for index in progress(indices):
        image = images[index]
        if image not in files.found:
            continue
        try:
            labels = read_file_labels(dataset.get_data_info(index))
        except InputError as error:
            problems.add("mask of the data set itself that cannot be used", str(error))
            continue
        prediction = problems.read(files.found[image], (labels.shape[0], labels.shape[1]))
        if prediction is not None and not problems.by_kind:  # else nothing will be scored
            metric.process(None, [_sample(image, prediction, labels)])
    if problems.by_kind:
        metric.results.clear()
        extra = f"\n(note: {extra_note(files.extra)})" if files.extra else ""
        raise InputError(
            f"{folder}: the {len(images)} predictions cannot be scored\n{problems.message()}{extra}"
        )
    metric.evaluate(len(images))
    return list(files.extra)


def extra_note(extra: Sequence[str]) -> str:
    """Files that belong to no image, in words."""
    return f"{len(extra)} PNGs belong to no image of this data set: {first_few(extra)}"


def _sample(image: str, prediction: Any, labels: Any) -> dict[str, Any]:
    return {
        "img_path": image,
        "pred_sem_seg": {"data": torch.from_numpy(prediction)[None]},
        "gt_sem_seg": {"data": torch.from_numpy(labels)[None]},
    }


def prediction_protocol(
    metainfo: Mapping[str, Any], num_images: int, folder: Path, config: str
) -> dict[str, Any]:
    """What scores of a folder depend on: the data part alone, of which the fingerprint is.

    So two systems' numbers on the same data, split and ignore rule have the same fingerprint.

    Args:
        metainfo: the data set's.
        num_images: how many images were evaluated.
        folder: of the predictions; its name is written down.
        config: name of the config that described the data.
    """
    protocol = data_protocol(metainfo, num_images)
    return {
        **protocol,
        "predictions": folder.resolve().name,
        "predictions_folder": str(folder.resolve()),
        "stage": "test",
        "config": config,
        "code": code_version(),
        "fingerprint": protocol_fingerprint(protocol),
    }


def refuse_other_report(path: str | os.PathLike[str], folder: Path) -> None:
    """Keep a report of something else from being replaced.

    Args:
        path: where the report will be written.
        folder: of the predictions.

    Raises:
        InputError: a report is there, and it is not of these predictions.
    """
    path = Path(path)
    if not path.exists():
        return
    try:
        known = json.loads(path.read_text(encoding="utf-8"))["protocol"].get("predictions_folder")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        known = None
    if known != str(folder.resolve()):
        raise InputError(
            f"{path} is the report of {known or 'something else'}: give another --work-dir"
        )
