"""Which images of a data set are drawn."""

from __future__ import annotations

import difflib
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from zegclip.errors import InputError

AMONG = 100  # images that are looked at: each is read


def images_with(dataset: Any, count: int, classes: Sequence[str] = ()) -> list[int]:
    """Choose the images, among the first 100, whose labels hold most of the wanted classes.

    Args:
        dataset: a test data set whose items carry ``gt_sem_seg``.
        count: how many images.
        classes: names of the wanted classes; default: the unseen classes, or all where none is
            unseen.

    Returns:
        The images' indices in the data set, ascending.

    Raises:
        InputError: less than one image is wanted.
    """
    if count < 1:
        raise InputError(f"{count} images are nothing to draw: ask for one at least")
    meta = dataset.metainfo
    names = list(meta["classes"])
    wanted = [names.index(name) for name in classes or meta.get("unseen") or names]
    scores = []
    for index in range(min(AMONG, len(dataset))):
        labels = np.unique(dataset[index]["data_samples"].gt_sem_seg.data.numpy())
        labels = labels[labels < len(names)]  # what is above is ignored
        # Most of the classes first; among equals, those with others beside them.
        scores.append((np.isin(labels, wanted).sum(), len(labels), -index))
    return sorted(-score[2] for score in sorted(scores, reverse=True)[:count])


def image_names(dataset: Any) -> list[str]:
    """A name for each image of a data set, in its order, that no other image has.

    It is the file's name without suffix; where several files are called so, the file's path from
    the folder that holds all images.
    """
    files = [Path(dataset.get_data_info(index)["img_path"]) for index in range(len(dataset))]
    stems = Counter(file.stem for file in files)
    folder = os.path.commonpath([file.parent for file in files])
    return [f.stem if stems[f.stem] == 1 else f.relative_to(folder).as_posix() for f in files]


def images_named(dataset: Any, names: Sequence[str]) -> list[int]:
    """Indices of images by :func:`image_names`; ``InputError`` if there is none of a name."""
    every = image_names(dataset)
    for name in names:
        if name not in every:
            alike = [each for each in every if Path(each).stem == name]
            close = alike or difflib.get_close_matches(name, every) or every[:3]
            raise InputError(
                f"no image {name!r} among the {len(every)} of the data set; did you mean "
                f"{', '.join(close)}?"
            )
    return [every.index(name) for name in names]
