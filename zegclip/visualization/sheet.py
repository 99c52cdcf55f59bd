"""Pictures side by side, in rows with a title over every column."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from .words import text_picture


def make_sheet(
    rows: Sequence[Sequence[Image.Image]],
    titles: Sequence[str],
    gap: int = 6,
    note: str = "",
    font_size: int = 15,
) -> Image.Image:
    """Arrange pictures of any size in a grid.

    Args:
        rows: pictures, as many in each row as there are titles.
        titles: of the columns; a column is at least as wide as its title.
        gap: pixels between pictures.
        note: a text under the grid: what a reader must know to understand it.
        font_size: of the titles, pixels; the note is a little smaller.

    Raises:
        ValueError: no row, or a row of another length than ``titles``.
    """
    if not rows or any(len(row) != len(titles) for row in rows):
        raise ValueError(f"every row needs {len(titles)} pictures: {', '.join(titles)}")
    font = ImageFont.load_default(size=font_size)
    widths = [
        max(round(font.getlength(title)), *(row[column].width for row in rows))
        for column, title in enumerate(titles)
    ]
    heights = [max(picture.height for picture in row) for row in rows]
    header = round(1.6 * font_size)
    width = sum(widths) + gap * (len(widths) + 1)
    below = text_picture(note, width - 2 * gap, font_size - 2) if note else None
    height = header + sum(heights) + gap * (len(heights) + 1)
    whole = height + (below.height + gap if below is not None else 0)
    sheet = Image.new("RGB", (width, whole), "white")
    pen = ImageDraw.Draw(sheet)
    x = gap
    for column_width, title in zip(widths, titles, strict=True):
        pen.text((x, gap), title, fill="black", font=font)
        x += column_width + gap
    y = header + gap
    for row, row_height in zip(rows, heights, strict=True):
        x = gap
        for picture, column_width in zip(row, widths, strict=True):
            sheet.paste(picture, (x, y))
            x += column_width + gap
        y += row_height + gap
    if below is not None:
        sheet.paste(below, (gap, height))
    return sheet
