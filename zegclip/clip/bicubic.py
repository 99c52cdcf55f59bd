"""Bicubic interpolation as two matrices, so that exporters take any grid for it.

(torch exports ``F.interpolate`` with its output size and without its scale factor, which here is
(new + offset) / own and not new / own.)
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def resize_bicubic(table: Tensor, grid: tuple[int, int], offset: float) -> Tensor:
    """``F.interpolate(mode="bicubic", align_corners=False)`` by factors ``(new + offset) / own``.

    Args:
        table: ``(..., h, w)``.
        grid: the new (h, w).
        offset: in cells, below 1.

    Returns:
        ``(..., *grid)``.

    Example:
        >>> resize_bicubic(torch.randn(1, 768, 14, 14), (20, 30), offset=0.1).shape
        torch.Size([1, 768, 20, 30])
    """
    rows, columns = (
        _weights(new, own, offset).to(table) for new, own in zip(grid, table.shape[-2:])
    )
    return rows @ F.pad(table, (2, 2, 2, 2), mode="replicate") @ columns.T


def _weights(new: int, own: int, offset: float) -> Tensor:
    """What each new cell takes of the own cells and of two beyond each end, ``(new, own + 4)``."""
    centres = (torch.arange(new, dtype=torch.float64) + 0.5) * (own / (new + offset)) - 0.5
    distance = (centres[:, None] - torch.arange(-2, own + 2)).abs()
    # Keys' kernel with a = -0.75, as torch.
    near = (1.25 * distance - 2.25) * distance**2 + 1
    far = ((-0.75 * distance + 3.75) * distance - 6) * distance + 3
    return near.where(distance <= 1, far.where(distance < 2, 0.0))
