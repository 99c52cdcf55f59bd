"""Pixel-adaptive mask refinement (PAMR): maps follow the image's own edges.

Source: Araslanov and Roth, "Single-Stage Semantic Segmentation from Image Labels" (CVPR 2020),
section 3.3. 10 steps, dilations 8 and 16: NACLIP's published code. There they are pixels of the
original image, which its maps are brought to first; here they are pixels at 336, in proportion at
other sizes, and the maps are refined at the size that the model saw: a photograph of any size costs
the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

_CONTRAST = 0.1  # of the local deviation: differences well under it count as none (published code)
# Numbers of the maps that are refined together, by kind of device: a CPU's cache is small.
_VALUES_AT_ONCE = {"cpu": 2**18, "cuda": 2**26}
_NEIGHBOURS = tuple((y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if y or x)


class PixelAdaptiveRefinement:
    """Maps become, step by step, means over neighbours that look alike.

    Args:
        steps: how often.
        dilations: distances of the eight neighbours in a row, column or both, in pixels.

    Attributes:
        reach: pixels around a part of an image that its result depends on.

    Example:
        >>> refine = PixelAdaptiveRefinement()
        >>> refine(torch.rand(3, 336, 500), torch.rand(21, 336, 500)).shape
        torch.Size([21, 336, 500])
    """

    def __init__(self, steps: int = 10, dilations: Sequence[int] = (8, 16)) -> None:
        self.steps = steps
        self.dilations = tuple(dilations)
        self.reach = (steps + 1) * max(dilations)

    @classmethod
    def of_size(cls, size: tuple[int, int]) -> PixelAdaptiveRefinement:
        """For images (H, W): dilations in proportion to the shorter side, 8 and 16 at 336 pixels.

        (Ours: at 96 pixels the published 8 and 16 cost 6 hIoU; scaled so, they cost nothing.)
        """
        dilation = max(1, round(min(size) / 42))
        return cls(dilations=(dilation, 2 * dilation))

    def __call__(self, image: Tensor, maps: Tensor) -> Tensor:
        """Refine maps ``(K, H, W)`` along the edges of their image ``(3, H, W)``."""
        weights = self.weights(image).to(maps.dtype)
        # Maps do not depend on each other.
        at_once = _VALUES_AT_ONCE.get(maps.device.type, _VALUES_AT_ONCE["cuda"])
        number = max(1, at_once // maps[0].numel())
        refined = torch.empty_like(maps)
        for part, into in zip(maps.split(number), refined.split(number)):
            into.copy_(self._steps(weights, part))
        return refined

    def _steps(self, weights: Tensor, maps: Tensor) -> Tensor:
        for _ in range(self.steps):
            refined = torch.zeros_like(maps)
            for weight, neighbour in zip(weights, self._shifted(maps), strict=True):
                refined.addcmul_(weight, neighbour)
            maps = refined
        return maps

    def weights(self, image: Tensor) -> Tensor:
        """How much each pixel takes from each neighbour, ``(8 len(dilations), H, W)``; sum 1."""
        # The deviation of a pixel's neighbourhood says which differences are large there. (The
        # pixel itself counts once for each dilation, as published.)
        total, squares, count = torch.zeros_like(image), torch.zeros_like(image), 0
        centred = image - image.mean(dim=(1, 2), keepdim=True)
        for each in (*self._shifted(centred), *([centred] * len(self.dilations))):
            total += each
            squares.addcmul_(each, each)
            count += 1
        variance = (squares - total.square() / count).clamp(min=0) / (count - 1)
        scale = 1e-8 + _CONTRAST * variance.sqrt()
        unlike = [((image - each).abs() / scale).mean(dim=0) for each in self._shifted(image)]
        return torch.stack(unlike).neg().softmax(dim=0)

    def _shifted(self, maps: Tensor) -> Iterator[Tensor]:
        """Each pixel's neighbours, ``(K, H, W)`` each; outside, the border goes on."""
        height, width = maps.shape[1:]
        for dilation in self.dilations:
            padded = F.pad(maps[None], [dilation] * 4, mode="replicate")[0]
            for y, x in _NEIGHBOURS:
                top, left = dilation * (1 + y), dilation * (1 + x)
                yield padded[:, top : top + height, left : left + width]
