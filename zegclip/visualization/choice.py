"""Which images of a data set are drawn."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from zegclip.errors import InputError


def images_with(dataset: Any, classes: Sequence[str], count: int, among: int = 100) -> list[int]:
    """Indices of the images whose labels hold most of some classes, in the data set's order.

    Args:
        dataset: a test data set whose items carry ``gt_sem_seg``.
        classes: names.
        count: how many images.
        among: only the first so many images are looked at.
    """
    names = list(dataset.metainfo["classes"])
    wanted = [names.index(name) for name in classes]
    scores = []
    for index in range(min(among, len(dataset))):
        labels = np.unique(dataset[index]["data_samples"].gt_sem_seg.data.numpy())
        labels = labels[labels < len(names)]  # 255 is ignored
        # Most of the classes first; among equals, those with others beside them.
        scores.append((np.isin(labels, wanted).sum(), len(labels), -index))
    return sorted(-score[2] for score in sorted(scores, reverse=True)[:count])


def images_with_unseen(dataset: Any, count: int, among: int = 100) -> list[int]:
    """As :func:`images_with`, for the unseen classes."""
    return images_with(dataset, dataset.metainfo.get("unseen", ()), count, among)


def image_names(dataset: Any) -> list[str]:
    """Names of a data set's image files without suffix, in its order."""
    return [Path(dataset.get_data_info(index)["img_path"]).stem for index in range(len(dataset))]


def images_named(dataset: Any, names: Sequence[str]) -> list[int]:
    """Indices of images by their files' names without suffix.

    Raises:
        InputError: there is no such image.
    """
    indices: dict[str, int] = {}
    for index, name in enumerate(image_names(dataset)):
        indices.setdefault(name, index)  # of equal names in several folders, the first
    for name in names:
        if name not in indices:
            close = difflib.get_close_matches(name, indices, n=3, cutoff=0.6) or list(indices)[:3]
            raise InputError(
                f"no image {name!r} among the {len(indices)} of "
                f"{dataset.metainfo.get('dataset_name', 'the data set')}; did you mean "
                f"{', '.join(close)}?"
            )
    return [indices[name] for name in names]
