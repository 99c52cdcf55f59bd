"""Segmentations as polygons that LabelMe opens."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from PIL import Image

from zegclip.files import write_text

if TYPE_CHECKING:
    from ..result import SegmentationResult


def write_labelme(result: SegmentationResult, path: str | Path, image: str | None = None) -> None:
    """Write LabelMe's JSON: polygons that LabelMe fills to the very masks.

    LabelMe knows no holes: a piece of a mask that has some is cut through them, and its parts have
    a ``group_id`` in common. Pixels that are none of the classes have no polygon.

    Args:
        result: of an image.
        path: the JSON file.
        image: path of the image, relative to the JSON file; ``None``: its pixels go into the file.
    """
    shapes: list[dict[str, Any]] = []
    for label in result.largest():
        for group, parts in enumerate(polygons(result.labels == label), start=len(shapes)):
            shapes += (
                dict(
                    label=result.classes[label],
                    points=points.tolist(),
                    group_id=group if len(parts) > 1 else None,
                    description="",
                    shape_type="polygon",
                    flags={},
                    mask=None,
                )
                for points in parts
            )
    pixels = None
    if image is None:
        png = io.BytesIO()
        Image.fromarray(result.image).save(png, "png")
        pixels = base64.b64encode(png.getvalue()).decode("ascii")
    height, width = result.labels.shape
    content = dict(
        version="5.5.0", flags={}, shapes=shapes, imagePath=image or f"{Path(path).stem}.png",
        imageData=pixels, imageHeight=height, imageWidth=width,
    )  # fmt: skip
    write_text(path, json.dumps(content, ensure_ascii=False))


def polygons(mask: np.ndarray) -> Iterator[list[np.ndarray]]:
    """Outlines of a mask ``(H, W)``.

    Yields:
        For each connected piece its polygons ``(N, 2)``, x and y of the outermost pixels: one, or
        several where it has holes and is cut through them. (Fewer points, by `cv2.approxPolyDP`,
        would let narrow ones cross themselves.)
    """
    count, pieces, boxes, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    for piece, (left, top, width, height, _) in zip(range(1, count), boxes[1:].tolist()):
        box = pieces[top : top + height, left : left + width]
        contours = _without_holes((box == piece).astype(np.uint8), (left, top))
        # (LabelMe takes no polygon of fewer than three points.)
        yield [np.resize(points[:, 0], (max(3, len(points)), 2)) for points in contours]


def _without_holes(mask: np.ndarray, offset: tuple[int, int]) -> Iterator[np.ndarray]:
    """Outer contours, of parts of the mask where it has holes."""
    contours, levels = cv2.findContours(
        mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE, offset=offset
    )
    of_holes = [each for each, (*_, parent) in zip(contours, levels[0]) if parent >= 0]
    holes = sorted(map(tuple, map(cv2.boundingRect, of_holes)))
    if not holes:
        yield from contours
        return
    # Through the middle one, so that half of them is left on either side.
    left, _, width, _ = holes[len(holes) // 2]
    cut = left + width // 2 - offset[0]
    yield from _without_holes(mask[:, :cut], offset)
    yield from _without_holes(mask[:, cut:], (offset[0] + cut, offset[1]))
