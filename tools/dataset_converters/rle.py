"""COCO's compressed run-length encoding of binary masks."""

from __future__ import annotations

import numpy as np


def decode_counts(text: str | bytes) -> np.ndarray:
    """The run lengths in a compressed string.

    Each number is written in groups of five bits, lowest first, one character a group (48 + bits);
    bit 5 says that another group follows, bit 4 of the last one is the sign. From the fourth run
    on, what is written is the difference to the run before the previous one (COCO API,
    ``maskApi.c``: ``rleFrString``).

    Args:
        text: the characters.

    Returns:
        ``(runs,)`` int64, in turn of zeros and of ones, zeros first.

    Raises:
        ValueError: a character that cannot be, or the string ends within a number.
    """
    raw = text.encode("ascii") if isinstance(text, str) else text
    groups = np.frombuffer(raw, np.uint8).astype(np.int64) - 48
    if groups.size == 0:
        return np.zeros(0, np.int64)
    if groups.min() < 0 or groups.max() > 63:
        raise ValueError("the run-length code holds characters that it cannot have")
    ends = np.flatnonzero((groups & 32) == 0)
    if ends.size == 0 or ends[-1] != groups.size - 1:
        raise ValueError("the run-length code ends within a number")
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    if lengths.max() > 7:  # 35 bits: more than an image has pixels
        raise ValueError("the run-length code holds a number that is too large")
    shifts = 5 * (np.arange(groups.size) - np.repeat(starts, lengths))
    runs = np.add.reduceat((groups & 31) << shifts, starts)
    runs -= np.where(groups[ends] & 16, 1 << (5 * lengths), 0)
    runs[1::2] = np.cumsum(runs[1::2])
    runs[2::2] = np.cumsum(runs[2::2])
    return runs


def decode(text: str | bytes, height: int, width: int) -> np.ndarray:
    """The mask of a compressed string.

    Returns:
        ``(height, width)`` bool.

    Raises:
        ValueError: the runs do not add up to the mask's pixels, or are no runs.
    """
    runs = decode_counts(text)
    if (runs < 0).any() or runs.sum() != height * width:
        raise ValueError(f"the runs of a mask add up to {runs.sum()}, not to {height}x{width}")
    ones = np.arange(runs.size) % 2 == 1
    return np.repeat(ones, runs).reshape(width, height).T  # columns first
