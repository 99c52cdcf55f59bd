"""Regions of an image: their grid, one of them, and those that it attends to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

Rectangle = tuple[float, float, float, float]
QUERY, ROUTED, GRID = (230, 0, 0), (255, 210, 0), (255, 255, 255)


def draw_grid(
    image: np.ndarray, rectangles: Sequence[Rectangle | None], region: int
) -> Image.Image:
    """The grid of regions over an image, one of them with a red frame.

    Args:
        image: ``(H, W, 3)`` uint8, RGB.
        rectangles: (left, top, right, bottom) of each region in pixels; ``None``: not there.
        region: index of the one to mark.
    """
    layer = Image.fromarray(image).convert("RGBA")
    lines = Image.new("RGBA", layer.size)
    pen = ImageDraw.Draw(lines)
    for place in rectangles:
        if place is not None:
            pen.rectangle(_inside(place), outline=(*GRID, 150))
    picture = Image.alpha_composite(layer, lines).convert("RGB")
    _frame(picture, rectangles[region], QUERY)
    return picture


def draw_routes(
    image: np.ndarray,
    rectangles: Sequence[Rectangle | None],
    region: int,
    routes: Sequence[int],
    dimmed: float = 0.35,
) -> Image.Image:
    """The regions that one region attends to, in yellow frames; all others are darkened.

    Args:
        image: ``(H, W, 3)`` uint8, RGB.
        rectangles: as in :func:`draw_grid`.
        region: the one that attends; its frame is red.
        routes: indices of those that it attends to.
        dimmed: brightness of what it does not attend to, 0..1.
    """
    bright = np.full(image.shape[:2], dimmed, np.float32)
    for index in routes:
        place = rectangles[index]
        if place is not None:
            left, top, right, bottom = _inside(place)
            bright[top : bottom + 1, left : right + 1] = 1
    picture = Image.fromarray((image * bright[..., None]).astype(np.uint8))
    for index in routes:
        _frame(picture, rectangles[index], ROUTED)
    _frame(picture, rectangles[region], QUERY, inset=3 if region in routes else 0)
    return picture


def _inside(place: Rectangle) -> tuple[int, int, int, int]:
    """Whole pixels, the last ones included, so that neighbours share no pixel."""
    left, top, right, bottom = (round(side) for side in place)
    return left, top, max(left, right - 1), max(top, bottom - 1)


def _frame(
    picture: Image.Image,
    place: Rectangle | None,
    colour: tuple[int, int, int],
    width: int = 3,
    inset: int = 0,
) -> None:
    if place is not None:
        left, top, right, bottom = _inside(place)
        if right - left > 2 * inset and bottom - top > 2 * inset:
            left, top, right, bottom = left + inset, top + inset, right - inset, bottom - inset
        ImageDraw.Draw(picture).rectangle((left, top, right, bottom), outline=colour, width=width)
