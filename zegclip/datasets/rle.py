"""COCO's compressed run-length encoding of binary masks.

Not with pycocotools: of a damaged code it returns uninitialised memory, or reads beyond its end.
"""

from __future__ import annotations

import numpy as np

_MOST_GROUPS = 7  # of five bits: more than any image's runs need


def encode(mask: np.ndarray) -> str:
    """A mask ``(H, W)`` as a compressed string; see :func:`decode`."""
    columns_first = np.append(False, mask.astype(bool).T)  # zeros come first, maybe none
    starts = np.flatnonzero(np.diff(columns_first))
    runs = np.diff(starts, prepend=0, append=mask.size)
    values = runs.copy()
    values[3:] -= runs[1:-2]
    # Groups of a number until only its sign is left, and the last group's bit 4 says the same.
    groups = values[:, None] >> 5 * np.arange(_MOST_GROUPS)
    rest, negative = groups >> 5, groups & 16 != 0
    ends = rest == np.where(negative, -1, 0)
    written = np.cumsum(ends, axis=1) - ends == 0  # up to the first end
    characters = (groups & 31 | np.where(ends, 0, 32)) + 48
    return characters[written].astype(np.uint8).tobytes().decode("ascii")


def decode(code: str, height: int, width: int) -> np.ndarray:
    """The mask of a compressed string.

    Each number is written in groups of five bits, lowest first, one character a group (48 + bits);
    bit 5 says that another group follows, bit 4 of the last one is the sign. From the fourth run
    on, what is written is the difference to the run before the previous one (COCO API,
    ``maskApi.c``: ``rleFrString``). Runs are of zeros and ones in turn, zeros first.

    Returns:
        ``(height, width)`` bool.

    Raises:
        ValueError: the string is no code of such a mask.
    """
    groups = np.frombuffer(code.encode("ascii"), np.uint8).astype(np.int64) - 48
    ends = np.flatnonzero(groups & 32 == 0)
    starts = np.append(0, ends[:-1] + 1)
    if not ends.size or ends[-1] + 1 != groups.size or groups.min() < 0 or groups.max() > 63:
        raise ValueError("a mask's run-length code is damaged")
    lengths = ends - starts + 1
    shifts = 5 * (np.arange(groups.size) - np.repeat(starts, lengths))
    runs = np.add.reduceat((groups & 31) << shifts, starts)
    runs -= np.where(groups[ends] & 16, 1 << (5 * lengths), 0)
    runs[1::2] = np.cumsum(runs[1::2])
    runs[2::2] = np.cumsum(runs[2::2])
    if lengths.max() > _MOST_GROUPS or runs.min() < 0 or runs.sum() != height * width:
        raise ValueError(f"the runs of a mask do not add up to {height}x{width}")
    ones = np.arange(runs.size) % 2 == 1
    return np.repeat(ones, runs).reshape(width, height).T  # columns first
