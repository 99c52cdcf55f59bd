"""Pixel-adaptive refinement: the definition, and what it does to a coarse mask."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from zegclip.segmentors import refinement
from zegclip.segmentors.refinement import PixelAdaptiveRefinement


def test_one_step_is_the_definition() -> None:
    """Plain loops over pixels, channels and neighbours, on a border and inside."""
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(3, 9, 11, generator=generator, dtype=torch.float64)
    maps = torch.rand(2, 9, 11, generator=generator, dtype=torch.float64)
    refined = PixelAdaptiveRefinement(steps=1, dilations=(1, 3))(image, maps)

    def at(tensor: torch.Tensor, y: int, x: int) -> torch.Tensor:
        return tensor[:, min(max(y, 0), 8), min(max(x, 0), 10)]

    for y, x in ((0, 0), (4, 5), (8, 3), (2, 10)):
        places = [
            (y + d * dy, x + d * dx) for d in (1, 3) for dy in (-1, 0, 1) for dx in (-1, 0, 1)
        ]
        around = torch.stack([at(image, *place) for place in places])
        others = [place for place in places if place != (y, x)]
        likeness = torch.stack(
            [
                -((at(image, y, x) - at(image, *o)).abs() / (1e-8 + 0.1 * around.std(0))).mean()
                for o in others
            ]
        ).softmax(0)
        expected = sum(weight * at(maps, *o) for weight, o in zip(likeness, others))
        torch.testing.assert_close(refined[:, y, x], expected)


def test_maps_are_refined_alike_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    image, maps = (torch.rand(k, 20, 30, generator=generator) for k in (3, 5))
    expected = PixelAdaptiveRefinement()(image, maps)
    monkeypatch.setitem(refinement._VALUES_AT_ONCE, "cpu", 2 * 20 * 30)
    torch.testing.assert_close(PixelAdaptiveRefinement()(image, maps), expected)


def test_a_coarse_mask_takes_the_edge_of_its_image() -> None:
    truth = torch.zeros(64, 64)
    truth[13:45, 22:51] = 1
    image = truth.expand(3, 64, 64) + 0.02 * torch.randn(
        3, 64, 64, generator=torch.Generator().manual_seed(1)
    )
    coarse = F.interpolate(F.avg_pool2d(truth[None, None], 16), scale_factor=16, mode="bilinear")[0]
    refined = PixelAdaptiveRefinement(dilations=(1, 4))(image, coarse)
    wrong = [((mask[0] > 0.5) != (truth > 0.5)).float().mean().item() for mask in (coarse, refined)]
    assert wrong[0] > 0.03 and wrong[1] < 0.2 * wrong[0]


@pytest.mark.parametrize(
    ("size", "dilations"), [((336, 500), (8, 16)), ((500, 336), (8, 16)), ((9, 9), (1, 2))]
)
def test_neighbours_are_as_far_as_the_image_is_large(
    size: tuple[int, int], dilations: tuple[int, int]
) -> None:
    assert PixelAdaptiveRefinement.of_size(size).dilations == dilations


@pytest.mark.parametrize("box", [(0, 0, 30, 40), (50, 60, 90, 120)])
def test_a_part_depends_on_its_reach_and_no_more(box: tuple[int, int, int, int]) -> None:
    generator = torch.Generator().manual_seed(2)
    image, maps = (torch.rand(c, 90, 120, generator=generator) for c in (3, 4))
    refine = PixelAdaptiveRefinement(steps=3, dilations=(2, 4))
    top, left, bottom, right = box
    rows = slice(max(0, top - refine.reach), bottom + refine.reach)
    columns = slice(max(0, left - refine.reach), right + refine.reach)
    part = refine(image[:, rows, columns], maps[:, rows, columns])
    part = part[:, top - rows.start :, left - columns.start :][:, : bottom - top, : right - left]
    torch.testing.assert_close(part, refine(image, maps)[:, top:bottom, left:right])
