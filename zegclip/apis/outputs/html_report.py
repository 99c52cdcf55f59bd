"""Segmentations as one HTML file that needs nothing else: to be sent, printed, kept."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from zegclip.files import write_text
from zegclip.vocabulary import IGNORE_INDEX

if TYPE_CHECKING:
    from ..result import SegmentationResult

_LONGEST_SIDE = 1200  # of a picture, pixels
_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Segmentation</title>
<style>
body {{ font: 1rem/1.4 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto; padding: 1rem }}
h2 {{ margin-top: 2.5rem; overflow-wrap: anywhere }}
.pictures {{ display: flex; flex-wrap: wrap; gap: 1rem }}
img {{ flex: 1 1 18rem; min-width: 0 }}
td, th {{ padding: .1rem .8rem .1rem 0; text-align: left; overflow-wrap: anywhere }}
th {{ vertical-align: top; white-space: nowrap }}
.share {{ text-align: right; font-variant-numeric: tabular-nums }}
i {{ display: inline-block; width: 1em; height: 1em; border: 1px solid; print-color-adjust: exact }}
</style>
<h1>Segmentation</h1>
<table>
{settings}
</table>
{images}
</html>
"""


class HtmlReport:
    """Each image beside its classes' colours, names, shares; and the settings, once.

    Args:
        settings: what the results depend on.

    Example:
        >>> report = HtmlReport({"checkpoint": segment.checkpoint})
        >>> report.add("photo.jpg", segment("photo.jpg", "cat, dog"))
        >>> report.save("report.html")
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._settings = settings
        self._images: list[str] = []

    def add(self, name: str, result: SegmentationResult) -> None:
        """Add an image; pictures are at most 1200 pixels wide and high."""
        rows = [_row(result, label) for label in result.largest()]
        if result.background:
            rows.append(_row(result, IGNORE_INDEX))
        absent = [each for each, share in result.areas().items() if not share]
        height, width = result.labels.shape
        self._images.append(
            f"<h2>{escape(name)}</h2>\n<p>{width} × {height} pixels</p>\n"
            f'<div class="pictures">{_picture(Image.fromarray(result.image), "the image")}'
            f"{_picture(result.draw(legend=False), 'its classes')}</div>\n"
            f"<table>\n{''.join(rows)}</table>\n"
            + (f"<p>Not found: {escape(', '.join(absent))}</p>" if absent else "")
        )

    def save(self, path: str | Path) -> None:
        """Write the page."""
        texts = {
            name: ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
            for name, value in self._settings.items()
        }
        settings = "\n".join(
            f"<tr><th>{escape(name)}<td>{escape(text)}" for name, text in texts.items()
        )
        write_text(path, _PAGE.format(settings=settings, images="\n".join(self._images)))


def _row(result: SegmentationResult, label: int) -> str:
    name = result.name_of(label)
    unseen = " (unseen)" if name in result.unseen else ""
    is_background = result.background and label == IGNORE_INDEX
    colour = "none" if is_background else "rgb({},{},{})".format(*result.palette[label])
    return (
        f'<tr><td><i style="background:{colour}"></i>'
        f"<td>{escape(name)}{unseen}"
        f'<td class="share">{(result.labels == label).mean():.1%}\n'
    )


def _picture(image: Image.Image, meaning: str) -> str:
    image.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE))
    content = io.BytesIO()
    image.save(content, "jpeg", quality=90)
    data = base64.b64encode(content.getvalue()).decode("ascii")
    return f'<img alt="{meaning}" src="data:image/jpeg;base64,{data}">'
