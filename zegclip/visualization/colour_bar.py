"""The scale of a heat map: its colours from 0 to 1, with numbers."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .overlay import draw_heat_map


def colour_bar(height: int, font_size: int = 13, opacity: float = 1.0) -> Image.Image:
    """A vertical bar with 1 at its top and 0 at its bottom, as :func:`draw_heat_map` colours.

    Args:
        height: pixels.
        font_size: of the numbers, pixels.
        opacity: of the colours over white.
    """
    width = max(10, font_size)
    ramp = np.repeat(np.linspace(1, 0, height, dtype=np.float32)[:, None], width, axis=1)
    bar = draw_heat_map(np.full((height, width, 3), 255, np.uint8), ramp, opacity=opacity)
    font = ImageFont.load_default(size=font_size)
    labels = ("1", "0.5", "0")
    reach = round(max(font.getlength(label) for label in labels))
    picture = Image.new("RGB", (width + reach + 10, height), "white")
    picture.paste(bar, (0, 0))
    pen = ImageDraw.Draw(picture)
    for label, place, anchor in zip(labels, (0, height // 2, height - 1), ("lt", "lm", "lb")):
        # Inside the bar: beside it, a tick would be read as a minus sign.
        pen.line((width - 4, place, width - 1, place), fill="black")
        pen.text((width + 6, place), label, fill="black", font=font, anchor=anchor)
    return picture
