"""One image and its mask: sizes, channels, labels."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from PIL import Image


@dataclass(frozen=True)
class Pair:
    """An image and its mask.

    Attributes:
        name: the mask, relative to the data set, for messages.
        image: its path.
        mask: its path.
    """

    name: str
    image: str
    mask: str


@dataclass
class PairCheck:
    """What was found of a pair.

    Attributes:
        name: the mask.
        problems: kind and detail of what is wrong.
        histogram: pixels by value 0..255; ``None``: the mask could not be read as labels.
        bad_labels: values that may not occur.
    """

    name: str
    problems: list[tuple[str, str]] = field(default_factory=list)
    histogram: list[int] | None = None
    bad_labels: list[int] = field(default_factory=list)


def check_pair(pair: Pair, allowed: frozenset[int]) -> PairCheck:
    """Open a mask, and the header of its image, and compare.

    Args:
        pair: the files.
        allowed: every value that the mask may hold.
    """
    check = PairCheck(pair.name)
    size = None
    try:
        with Image.open(pair.image) as image:  # reads the header only
            size = image.size
    except Exception as error:  # a stranger's file: whatever is wrong is its reader's word
        check.problems.append(("unreadable_image", f"{pair.image}: {_reason(error)}"))
    try:
        with Image.open(pair.mask) as mask:
            if size is not None and mask.size != size:
                detail = f"{mask.size[0]}x{mask.size[1]}, its image {size[0]}x{size[1]}"
                check.problems.append(("size", detail))
            mask.load()
            if len(mask.getbands()) > 1:
                check.problems.append(("channels", mask.mode))
                return check
            if mask.mode in ("L", "P"):
                check.histogram = mask.histogram()
            else:
                values = np.asarray(mask).astype(np.int64)
                check.bad_labels = np.unique(values[(values < 0) | (values > 255)]).tolist()
                inside = values[(values >= 0) & (values <= 255)]
                check.histogram = np.bincount(inside, minlength=256).tolist()
    except Exception as error:  # as above
        check.problems.append(("unreadable_mask", _reason(error)))
        return check
    assert check.histogram is not None
    occur = [value for value, count in enumerate(check.histogram) if count]
    check.bad_labels += [value for value in occur if value not in allowed]
    return check


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
