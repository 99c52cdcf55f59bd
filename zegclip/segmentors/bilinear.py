"""Bilinear interpolation (``align_corners=False``) at chosen pixels alone."""

from __future__ import annotations

import functools
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class Taps(NamedTuple):
    """Where the values of N pixels along one side come from.

    Attributes:
        index: ``(N, 2)`` int64, each pixel's two neighbours; twice the same where it needs one.
        weight: ``(N, 2)`` float64, their shares.
    """

    index: Tensor
    weight: Tensor

    def at(self, pixels: slice | Tensor) -> Taps:
        """The taps of some of the pixels."""
        return Taps(self.index[pixels], self.weight[pixels])

    def within(self, start: int) -> Taps:
        """The taps of the same pixels in a part of the side, whose first cell is ``start``."""
        return Taps(self.index - start, self.weight)

    def bounds(self) -> tuple[int, int]:
        """The first cell that is needed, and the one behind the last."""
        low, high = self.index.aminmax()
        return int(low), int(high) + 1

    def to(self, device: torch.device) -> Taps:
        """The taps on a device, copied without synchronising with it."""
        weight = self.weight.float() if device.type == "mps" else self.weight  # (has no float64)
        return Taps(*(each.to(device, non_blocking=True) for each in (self.index, weight)))


@functools.lru_cache(maxsize=64)  # the same few sizes again and again
@torch.inference_mode(False)
def taps(small: int, large: int) -> Taps:
    """The taps that bring a side of ``small`` cells to ``large`` pixels, or the other way."""
    pixels = torch.arange(large)
    # Centres of pixels in cells, times 2 * large: whole numbers, so nothing is rounded.
    position = ((2 * pixels + 1) * small - large).clamp_(min=0)
    first = position // (2 * large)
    share = (position - first * (2 * large)).double() / (2 * large)
    second = torch.where(share > 0, first + 1, first).clamp_(max=small - 1)
    return Taps(torch.stack([first, second], 1), torch.stack([1 - share, share], 1))


def interpolate_grid(maps: Tensor, rows: Taps, columns: Taps) -> Tensor:
    """``(h, w, K)`` at all pixels of R rows and S columns, ``(R, S, K)``."""
    (top, bottom), (left, right) = rows.bounds(), columns.bounds()
    # To a GPU go the taps of the sides; those of the pixels, a thousand times more, are made there.
    rows, columns = rows.within(top).to(maps.device), columns.within(left).to(maps.device)
    # One side after the other: two neighbours each instead of four.
    maps = maps[top:bottom, left:right]
    found = _weighted(maps.flatten(1), rows)  # (R, w * K)
    first = torch.arange(len(rows.index), device=maps.device)[:, None, None] * (right - left)
    index = (first + columns.index).flatten(0, 1)
    weight = columns.weight.repeat(len(rows.index), 1)
    found = _weighted(found.view(-1, maps.shape[2]), Taps(index, weight))
    return found.unflatten(0, (len(rows.index), -1))


def interpolate_points(maps: Tensor, rows: Taps, columns: Taps) -> Tensor:
    """``(h, w, K)`` at N pixels, each with a row and a column of its own, ``(N, K)``."""
    index = rows.index[:, :, None] * maps.shape[1] + columns.index[:, None, :]
    weight = rows.weight[:, :, None] * columns.weight[:, None, :]
    return _weighted(maps.flatten(0, 1), Taps(index.flatten(1), weight.flatten(1)))


def _weighted(table: Tensor, rows: Taps) -> Tensor:
    """N weighted sums of rows of a table ``(M, K)``, ``(N, K)``."""
    weight = rows.weight.to(table.dtype)
    return F.embedding_bag(rows.index, table, mode="sum", per_sample_weights=weight)
