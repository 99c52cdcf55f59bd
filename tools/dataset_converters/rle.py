"""COCO's compressed run-length encoding of binary masks.

Not with pycocotools: of a damaged code it returns uninitialised memory, or reads beyond its end.
"""

from __future__ import annotations

import numpy as np


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
    if lengths.max() > 7 or runs.min() < 0 or runs.sum() != height * width:
        raise ValueError(f"the runs of a mask do not add up to {height}x{width}")
    ones = np.arange(runs.size) % 2 == 1
    return np.repeat(ones, runs).reshape(width, height).T  # columns first
