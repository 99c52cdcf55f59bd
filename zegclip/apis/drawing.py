"""A result as a picture: colours over the image, and a legend."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

from zegclip.visualization import draw_labels

if TYPE_CHECKING:
    from .result import SegmentationResult

# Names are legible on a small picture only when it is enlarged.
_LEAST_SIDE = 320


def draw_result(result: SegmentationResult, opacity: float, legend: bool) -> Image.Image:
    """See :meth:`SegmentationResult.draw`."""
    if not 0 <= opacity <= 1:
        raise ValueError(f"opacity={opacity} must be between 0 (image only) and 1 (colours only)")
    scale = max(1, round(_LEAST_SIDE / min(result.labels.shape)))
    scale = min(scale, max(1, 1024 // max(result.labels.shape)))  # a strip stays small
    picture = draw_labels(
        result.image,
        result.labels,
        result.classes,
        result.palette,
        result.unseen,
        opacity,
        scale,
    )
    return _with_legend(picture, result) if legend else picture


def _with_legend(picture: Image.Image, result: SegmentationResult) -> Image.Image:
    """Add a column: colour, name and share of every class in the image, the largest first."""
    areas = result.areas()
    present = [index for index, name in enumerate(result.classes) if areas[name] > 0]
    present.sort(key=lambda index: -areas[result.classes[index]])
    size = max(12, min(picture.size) // 28)
    line = round(1.5 * size)
    fitting = max(1, (max(picture.height, 240) - size) // line)
    lines = [
        (result.palette[index], f"{result.classes[index]}  {areas[result.classes[index]]:.1%}")
        for index in present
    ]
    if len(lines) > fitting:
        more = len(lines) - fitting + 1
        lines = [*lines[: fitting - 1], ((255, 255, 255), f"and {more} more")]
    font = ImageFont.load_default(size=size)
    width = round(max(font.getlength(text) for _, text in lines)) + 3 * size
    height = max(picture.height, len(lines) * line + size)
    sheet = Image.new("RGB", (picture.width + width, height), (255, 255, 255))
    sheet.paste(picture, (0, 0))
    pen = ImageDraw.Draw(sheet)
    for row, (colour, text) in enumerate(lines):
        left, top = picture.width + size // 2, size // 2 + row * line
        pen.rectangle((left, top, left + size, top + size), fill=colour)
        pen.text((left + round(1.5 * size), top + size // 2), text, (0, 0, 0), font, anchor="lm")
    return sheet
