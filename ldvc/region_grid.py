"""A token grid cut into regions."""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor


class RegionGrid:
    """How an ``H x W`` token grid is cut into ``p x p`` regions of n tokens.

    A grid that p does not divide is padded at the bottom and on the right; ``valid`` says which
    tokens are real. In a small grid whole regions may be padding.

    Args:
        grid: (H, W).
        num_regions: p, regions a side.
    """

    def __init__(self, grid: tuple[int, int], num_regions: int) -> None:
        self.grid = grid
        self.num_regions = num_regions
        self.height, self.width = ((side + num_regions - 1) // num_regions for side in grid)
        self.bottom = self.height * num_regions - grid[0]
        self.right = self.width * num_regions - grid[1]

    @property
    def is_padded(self) -> bool:
        """Whether p does not divide a side; in a graph for all grids it must be assumed."""
        return torch.compiler.is_compiling() or bool(self.bottom or self.right)

    def split(self, tokens: Tensor) -> Tensor:
        """``(B, H * W, D)`` -> ``(B, p * p, n, D)``, padding at 0."""
        p = self.num_regions
        tokens = tokens.unflatten(1, self.grid)
        if self.is_padded:
            tokens = F.pad(tokens, (0, 0, 0, self.right, 0, self.bottom))
        tokens = tokens.unflatten(2, (p, self.width)).unflatten(1, (p, self.height))
        return tokens.transpose(2, 3).flatten(3, 4).flatten(1, 2)

    def merge(self, regions: Tensor) -> Tensor:
        """The inverse of :meth:`split`: ``(B, p * p, n, D)`` -> ``(B, H * W, D)``."""
        p = self.num_regions
        tokens = regions.unflatten(2, (self.height, self.width)).unflatten(1, (p, p))
        tokens = tokens.transpose(2, 3).flatten(3, 4).flatten(1, 2)
        return tokens[:, : self.grid[0], : self.grid[1]].flatten(1, 2)

    def valid(self, device: torch.device) -> Tensor:
        """Which tokens are real, ``(p * p, n)`` bool."""
        ones = torch.ones(1, self.grid[0] * self.grid[1], 1, device=device)
        return self.split(ones)[0, :, :, 0] > 0

    def boxes(self) -> list[tuple[int, int, int, int]]:
        """(top, left, bottom, right) of every region in tokens, row by row, without padding.

        A region that is all padding is empty: its top is its bottom, or its left its right.
        """
        rows = [min(row * self.height, self.grid[0]) for row in range(self.num_regions + 1)]
        columns = [min(column * self.width, self.grid[1]) for column in range(self.num_regions + 1)]
        return [
            (top, left, bottom, right)
            for top, bottom in itertools.pairwise(rows)
            for left, right in itertools.pairwise(columns)
        ]
