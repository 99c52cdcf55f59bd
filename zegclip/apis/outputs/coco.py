"""Segmentations as COCO annotations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from zegclip.datasets.rle import encode
from zegclip.errors import InputError
from zegclip.files import write_text

if TYPE_CHECKING:
    from ..result import SegmentationResult


class CocoFile:
    """COCO's JSON: of each image a mask of each class that is in it, run-length encoded.

    pycocotools and what builds on it read it. Category ids are labels + 1; pixels that are none of
    the classes have no mask.

    Example:
        >>> coco = CocoFile()
        >>> coco.add("photo.jpg", segment("photo.jpg", "cat, dog"))
        >>> coco.save("coco.json")
    """

    def __init__(self) -> None:
        self.content: dict[str, list[Any]] = {"images": [], "categories": [], "annotations": []}

    def add(self, file_name: str, result: SegmentationResult) -> None:
        """Add an image, which was asked for the same classes as those before it."""
        names = [{"id": label, "name": name} for label, name in enumerate(result.classes, start=1)]
        if self.content["categories"] not in ([], names):
            raise InputError(f"{file_name} was asked for other classes than the images before it")
        self.content["categories"] = names
        images, annotations = self.content["images"], self.content["annotations"]
        height, width = result.labels.shape
        images.append(dict(id=len(images) + 1, file_name=file_name, height=height, width=width))
        for label in result.largest():
            mask = result.labels == label
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=len(images),
                    category_id=label + 1,
                    segmentation=dict(size=[height, width], counts=encode(mask)),
                    area=int(mask.sum()),
                    bbox=cv2.boundingRect(mask.astype(np.uint8)),
                    iscrowd=0,
                )
            )

    def save(self, path: str | Path) -> None:
        """Write the JSON."""
        write_text(path, json.dumps(self.content, ensure_ascii=False))
