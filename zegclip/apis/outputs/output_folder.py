"""Segmentations as files that other programs read: all formats."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from zegclip.errors import InputError
from zegclip.files import replacing
from zegclip.vocabulary import IGNORE_INDEX

from .coco import CocoFile
from .html_report import HtmlReport
from .labelme import write_labelme

if TYPE_CHECKING:
    from ..result import SegmentationResult

FORMATS = ("index", "coco", "labelme", "html")


class OutputFolder:
    """Results of many images in one folder.

    ``labels/NAME.png`` (format ``index``), ``labelme/NAME.json``, and of all images ``coco.json``
    and ``report.html``; see :meth:`SegmentationResult.save <zegclip.apis.SegmentationResult.save>`.

    Args:
        folder: where they go.
        formats: any of ``FORMATS``.
        settings: what the report says of how the results were made.

    Example:
        >>> files = OutputFolder("out", ["index", "coco"], {})
        >>> files.add("photo", segment("photo.jpg", ["cat"]), Path("photo.jpg"))
        >>> files.finish()
    """

    def __init__(self, folder: Path, formats: Collection[str], settings: Mapping[str, Any]) -> None:
        self._folder, self._formats = folder, formats
        self._of_all: dict[str, CocoFile | HtmlReport] = {}
        if "coco" in formats:
            self._of_all["coco.json"] = CocoFile()
        if "html" in formats:
            self._of_all["report.html"] = HtmlReport(settings)

    def add(self, name: str, result: SegmentationResult, image: Path | None) -> None:
        """Write the files of one image.

        Args:
            name: what its files are called, without suffix.
            result: what the image was segmented into.
            image: the image's file; ``None``: it has none, it is a video's frame.
        """
        if "index" in self._formats:
            write_index_png(result, self._folder / "labels" / f"{name}.png")
        if "labelme" in self._formats:
            file = self._folder / "labelme" / f"{name}.json"
            write_labelme(result, file, _seen_from(file.parent, image) if image else None)
        for of_all in self._of_all.values():
            shown = str(image or name)  # (in a page as it was given, which people know)
            if image and isinstance(of_all, CocoFile):
                shown = _seen_from(self._folder, image)
            of_all.add(shown, result)

    def remove_frames(self, name: str) -> None:
        """Remove what an earlier run has written of a video of that name, which may be longer."""
        for format, folder, kind in (("index", "labels", "png"), ("labelme", "labelme", "json")):
            if format in self._formats:  # (what is called otherwise is somebody's own)
                for file in (self._folder / folder / name).glob(f"{'[0-9]' * 6}.{kind}"):
                    file.unlink()

    def finish(self) -> None:
        """Write the files that hold all images."""
        for name, file in self._of_all.items():
            file.save(self._folder / name)


def _seen_from(folder: Path, image: Path) -> str:
    """An image's path with /, relative to a folder; Windows has none such to another drive."""
    try:
        path = os.path.relpath(image, folder)
    except ValueError:
        path = os.path.abspath(image)
    return Path(path).as_posix()


def write_index_png(result: SegmentationResult, path: str | Path) -> None:
    """Write labels as an indexed PNG in the classes' colours; 255, transparent, is none of them.

    The names stand in the file's text ``classes``, as JSON.
    """
    if len(result.classes) > IGNORE_INDEX:
        raise InputError(f"an index PNG holds 255 classes, and there are {len(result.classes)}")
    # All 256 colours: with fewer, Pillow would write fewer bits than 255 needs.
    palette = np.zeros((256, 3), np.uint8)
    palette[: len(result.palette)] = result.palette
    image = Image.fromarray(result.labels.astype(np.uint8)).convert("P")
    image.putpalette(palette.tobytes())
    text = PngInfo()
    text.add_text("classes", json.dumps(result.classes))
    with replacing(path) as part:
        image.save(part, "png", transparency=IGNORE_INDEX, pnginfo=text)
