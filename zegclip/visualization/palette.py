"""Colours for classes that come without any."""

from __future__ import annotations

import colorsys

_LEVELS = ((0.75, 0.95), (0.95, 0.65), (0.45, 0.85))  # saturation and brightness


def make_palette(count: int) -> list[tuple[int, int, int]]:
    """So many different RGB colours, 0..255.

    Hues go on by the golden ratio, which keeps any number of them apart; saturation and brightness
    take turns as well.
    """
    colours = []
    for index in range(count):
        hue = (0.02 + index * 0.61803398875) % 1
        red, green, blue = colorsys.hsv_to_rgb(hue, *_LEVELS[index % len(_LEVELS)])
        colours.append((round(255 * red), round(255 * green), round(255 * blue)))
    return colours
