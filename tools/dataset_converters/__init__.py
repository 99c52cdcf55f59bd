"""Data sets from their official archives into the layout that the configs expect, and verified.

``DATA_SETS`` holds what each is made of (:class:`~dataset_converters.description.DataDescription`)
and is used by preparing, by verifying and by the messages of runs whose data is missing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import PurePath

from . import ade, coco_stuff, context, voc
from .description import DataDescription
from .work import Step, Work

_MODULES = (voc, coco_stuff, context, ade)
DATA_SETS: dict[str, DataDescription] = {m.DESCRIPTION.key: m.DESCRIPTION for m in _MODULES}
STEPS: dict[str, Callable[[Work], list[Step]]] = {m.DESCRIPTION.key: m.steps for m in _MODULES}

__all__ = ["DATA_SETS", "STEPS", "DataDescription", "how_to_get"]


def recognise(class_name: str, root: str | PurePath) -> DataDescription | None:
    """The data set that a data set class or a folder is of.

    Args:
        class_name: of the data set class; decides, where it says something.
        root: its folder. (``voc`` occurs in the path of PASCAL Context, too, which lies in
            VOCdevkit/VOC2010: the class and the longer words are asked first.)
    """
    # By name: "PascalContextDataset" has no VOC in it, and upper case tells ADE from a facade.
    for description in DATA_SETS.values():
        if any(word in class_name for word in description.class_words):
            return description
    words = sorted(
        ((word, d) for d in DATA_SETS.values() for word in d.folder_words),
        key=lambda pair: -len(pair[0]),
    )
    # Between other letters it is another word: "coconut", "advocate".
    path = str(root).lower()
    whole = (
        description for word, description in words if re.search(rf"(?<![a-z]){word}(?![a-z])", path)
    )
    return next(whole, None)


def how_to_get(class_name: str, root: str | PurePath) -> str:
    """Commands that fetch and prepare a data set; empty if it is none of ours."""
    description = recognise(class_name, root)
    return "" if description is None else description.how_to_get()
