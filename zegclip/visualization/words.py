"""Words under a picture: class names with their colours, wrapped to the picture's width."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .overlay import SEEN_COLOUR, UNSEEN_COLOUR

Colour = tuple[int, int, int]


class Word(NamedTuple):
    """A piece of a caption that is not broken over lines.

    Attributes:
        text: what is written.
        colour: RGB of the text.
        swatch: RGB of a small square before it; ``None``: no square.
    """

    text: str
    colour: Colour = SEEN_COLOUR
    swatch: Colour | None = None


def class_words(
    labels: np.ndarray,
    classes: Sequence[str],
    palette: Sequence[Sequence[int]],
    unseen: Sequence[str],
    min_share: float = 0.004,
) -> list[Word]:
    """The classes of a label map, the largest first; unseen ones in red, the others in black.

    Args:
        labels: ``(H, W)`` ids; ids outside the classes (255) are left out.
        classes: names in label order.
        palette: RGB of each class.
        unseen: names to write in red.
        min_share: classes with a smaller share of the pixels are left out.
    """
    ids, counts = np.unique(labels, return_counts=True)
    order = sorted(zip(-counts, ids), key=lambda pair: (int(pair[0]), int(pair[1])))
    words = []
    for count, label in order:
        if label < len(classes) and -count >= min_share * labels.size:
            name = classes[label]
            red, green, blue = (int(value) for value in palette[label])
            colour = UNSEEN_COLOUR if name in unseen else SEEN_COLOUR
            words.append(Word(name, colour, (red, green, blue)))
    return words


def with_words(picture: Image.Image, words: Sequence[Word], size: int = 14) -> Image.Image:
    """A picture with a caption under it; what is wider than the picture is cut with an ellipsis.

    Args:
        picture: RGB.
        words: in reading order; none: the picture as it is.
        size: of the font, pixels.
    """
    if not words:
        return picture
    font = ImageFont.load_default(size=size)
    lines = _lines(words, picture.width, font, size)
    step = round(1.35 * size)
    sheet = Image.new("RGB", (picture.width, picture.height + len(lines) * step + 4), "white")
    sheet.paste(picture, (0, 0))
    pen = ImageDraw.Draw(sheet)
    for row, line in enumerate(lines):
        middle = picture.height + 3 + row * step + step // 2
        for x, word in line:
            if word.swatch is not None:
                side = round(0.7 * size)
                box = (x, middle - side // 2, x + side, middle - side // 2 + side)
                pen.rectangle(box, fill=word.swatch, outline=(90, 90, 90))
                x += _swatch_width(size)
            pen.text((x, middle), word.text, word.colour, font, anchor="lm")
    return sheet


def text_picture(text: str, width: int, size: int = 14) -> Image.Image:
    """A plain text, black on white, wrapped to a width in pixels."""
    words = [Word(word) for word in text.split()]
    return with_words(Image.new("RGB", (width, 0), "white"), words, size)


def _swatch_width(size: int) -> int:
    return size


def _lines(words: Sequence[Word], width: int, font: Any, size: int) -> list[list[tuple[int, Word]]]:
    """Lines of words, each with its left side; plain words stand closer than swatched ones."""
    lines: list[list[tuple[int, Word]]] = [[]]
    x = 0
    for word in words:
        before = 0 if word.swatch is None else _swatch_width(size)
        word = word._replace(text=_fitting(word.text, width - before - 2, font))
        length = before + round(font.getlength(word.text))
        if lines[-1] and x + length > width:
            lines.append([])
            x = 0
        lines[-1].append((x, word))
        x += length + round(size * (0.3 if word.swatch is None else 0.8))
    return lines


def _fitting(text: str, width: int, font: Any) -> str:
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"
