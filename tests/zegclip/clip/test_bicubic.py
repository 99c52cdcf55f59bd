"""Bicubic interpolation by matrices is torch's."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from zegclip.clip.bicubic import resize_bicubic


@pytest.mark.parametrize("grid", [(14, 21), (7, 5), (1, 30), (14, 14)])
@pytest.mark.parametrize("more", [0.0, 0.1])
def test_it_is_torchs(grid: tuple[int, int], more: float) -> None:
    table = torch.randn(1, 3, 14, 14, dtype=torch.float64)
    factors = tuple((new + more) / 14 for new in grid)
    expected = F.interpolate(table, scale_factor=factors, mode="bicubic", align_corners=False)
    torch.testing.assert_close(resize_bicubic(table, grid, more), expected)


def test_the_same_grid_is_left_as_it_is() -> None:
    table = torch.randn(2, 3, 5, 4)
    assert torch.equal(resize_bicubic(table, (5, 4), offset=0.0), table)
