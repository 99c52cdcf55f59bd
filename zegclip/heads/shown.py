"""What a head can show of how it came to its masks, for figures."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

# The figures that a head may have beside its predictions and its attention.
TRUST, CONSENSUS = "trust", "consensus"


class RegionRoutes(NamedTuple):
    """Which regions of a token grid attend to which.

    Attributes:
        routes: indices into ``boxes``, ``(B, R, k)``, most alike first; -1 where a region attends
            to fewer than k.
        boxes: (top, left, bottom, right) of the R regions, in tokens, row by row; a region of
            padding is empty.
        regions_a_side: rows and columns of regions; their product is R.
    """

    routes: Tensor
    boxes: list[tuple[int, int, int, int]]
    regions_a_side: tuple[int, int]
