"""Pictures side by side, in rows with a title over every column."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont


def make_sheet(
    rows: Sequence[Sequence[Image.Image]], titles: Sequence[str], gap: int = 6
) -> Image.Image:
    """Arrange pictures of any size in a grid.

    Args:
        rows: pictures, as many in each row as there are titles.
        titles: of the columns.
        gap: pixels between pictures.

    Raises:
        ValueError: no row, or a row of another length than ``titles``.
    """
    if not rows or any(len(row) != len(titles) for row in rows):
        raise ValueError(f"every row needs {len(titles)} pictures: {', '.join(titles)}")
    widths = [max(row[column].width for row in rows) for column in range(len(titles))]
    heights = [max(picture.height for picture in row) for row in rows]
    font = ImageFont.load_default(size=15)
    header = 24
    sheet = Image.new(
        "RGB",
        (sum(widths) + gap * (len(widths) + 1), header + sum(heights) + gap * (len(heights) + 1)),
        "white",
    )
    pen = ImageDraw.Draw(sheet)
    x = gap
    for width, title in zip(widths, titles, strict=True):
        pen.text((x, gap), title, fill="black", font=font)
        x += width + gap
    y = header + gap
    for row, height in zip(rows, heights, strict=True):
        x = gap
        for picture, width in zip(row, widths, strict=True):
            sheet.paste(picture, (x, y))
            x += width + gap
        y += height + gap
    return sheet
