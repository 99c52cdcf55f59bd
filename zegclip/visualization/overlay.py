"""Label maps and heat maps blended with an image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

HEAT_COLOURS = "jet"  # 0 blue, 1 red: the papers' colours
OPACITY = 0.6


def draw_labels(
    image: np.ndarray,
    labels: np.ndarray,
    palette: Sequence[Sequence[int]],
    opacity: float = OPACITY,
) -> np.ndarray:
    """Colour every class's pixels.

    Args:
        image: ``(H, W, 3)`` uint8, RGB.
        labels: ``(H, W)`` ids; pixels of ids outside the palette stay as they are.
        palette: RGB of each class, 0..255.
        opacity: of the colours, 0..1.

    Returns:
        ``(H, W, 3)`` uint8.
    """
    return _over(image, colour_labels(labels, palette, opacity))


def draw_heat_map(image: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """A map over its image: 0 is blue, 1 is red.

    Args:
        image: ``(H, W, 3)`` uint8, RGB.
        heat: ``(H, W)``, 0..1; values outside are clipped.

    Returns:
        ``(H, W, 3)`` uint8.
    """
    from matplotlib import colormaps

    return _over(image, colormaps[HEAT_COLOURS](heat.clip(0, 1), alpha=OPACITY, bytes=True))


def colour_labels(
    labels: np.ndarray, palette: Sequence[Sequence[int]], opacity: float = OPACITY
) -> np.ndarray:
    """A label map as ``(H, W, 4)`` uint8, RGBA; transparent where the id is outside the palette."""
    known = (labels >= 0) & (labels < len(palette))
    colours = np.zeros((*labels.shape, 4), np.uint8)
    colours[known, :3] = np.asarray(palette, np.uint8)[labels[known]]
    colours[known, 3] = round(255 * opacity)
    return colours


def _over(image: np.ndarray, colours: np.ndarray) -> np.ndarray:
    below = Image.fromarray(image).convert("RGBA")
    return np.asarray(Image.alpha_composite(below, Image.fromarray(colours)).convert("RGB"))
