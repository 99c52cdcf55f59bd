"""What a picture was segmented into."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from zegclip.errors import InputError
from zegclip.heads import upsample
from zegclip.segmentors import ImagePrediction
from zegclip.visualization import draw_labels, find_font
from zegclip.vocabulary import IGNORE_INDEX, make_palette

from .outputs import FORMATS, CocoFile, HtmlReport, write_index_png, write_labelme
from .words import NONE_OF_THESE

_MOST_NAMES, _MORE = 24, -1  # in a legend, and the row that counts the others


@dataclass(eq=False, repr=False)
class SegmentationResult:
    """Labels, probabilities and shares of one image.

    Attributes:
        image: ``(H, W, 3)`` uint8, RGB, upright: what was segmented.
        labels: ``(H, W)`` int64, index into ``classes`` of the most probable one, or 255: none of
            these.
        prediction: at the size in which the model saw the image, made where it is asked for.
        classes: the names, in label order.
        extra_maps: what the method has beside the classes, by name, ``(H, W)`` float32, 0..1
            (``(K, H, W)`` where it has K of a name).
        palette: an RGB colour of each class; default: :func:`~zegclip.vocabulary.make_palette`.
        unseen: the classes that were called unseen.
        background: whether a pixel may be none of the classes.

    Example:
        >>> result = ZeroShotInferencer()("photo.jpg", ["cat", "dog"])
        >>> result.areas()["cat"]
        0.31
        >>> result.draw(opacity=0.6).save("photo_classes.png")
    """

    image: np.ndarray
    labels: np.ndarray
    prediction: ImagePrediction
    classes: tuple[str, ...]
    extra_maps: dict[str, np.ndarray] = field(default_factory=dict)
    palette: Sequence[tuple[int, int, int]] = ()
    unseen: tuple[str, ...] = ()
    background: bool = False

    def __post_init__(self) -> None:
        self.palette = self.palette or make_palette(len(self.classes))

    @cached_property
    @torch.no_grad()
    def probabilities(self) -> np.ndarray:
        """Each class's probability where the model saw a pixel, ``(C, h, w)`` float32.

        Made when it is asked for, as :attr:`scores` are: of many words it is gigabytes.
        """
        return self.prediction.whole().probabilities[: len(self.classes)].cpu().numpy()

    @cached_property
    def scores(self) -> np.ndarray:
        """Each class's probability at each pixel, ``(C, H, W)`` float32.

        A trained method gives each class a probability of its own: they do not add up to 1. CLIP
        without training gives shares among all words that were asked for, those of the background
        included. With ``seen=`` they are calibrated, and may be below 0.
        """
        maps = torch.from_numpy(self.probabilities)[None]
        return upsample(maps, self.labels.shape)[0].numpy()

    @torch.no_grad()
    def scores_at(self, x: int, y: int) -> dict[str, float]:
        """Every class's probability at a pixel of the image, and that of none of the classes.

        It is the pixel of the model's input that shows this place, without interpolation.

        Args:
            x: column, ``0..W-1``.
            y: row, ``0..H-1``.
        """
        row, column = (
            min(place * seen // of_image, seen - 1)
            for place, seen, of_image in zip((y, x), self.prediction.size, self.labels.shape)
        )
        tile = self.prediction.tile((row, column, row + 1, column + 1))
        names = (*self.classes, NONE_OF_THESE) if self.background else self.classes
        return dict(zip(names, tile.probabilities.flatten().tolist(), strict=True))

    def areas(self) -> dict[str, float]:
        """Every class's share of the pixels, 0..1, in label order; they add up to 1.

        Where a pixel may be none of the classes, ``"none of these"`` comes last.
        """
        least = max(IGNORE_INDEX + 1, len(self.classes))
        counts = np.bincount(self.labels.ravel(), minlength=least) / self.labels.size
        areas = dict(zip(self.classes, counts.tolist()))
        return areas | ({NONE_OF_THESE: float(counts[IGNORE_INDEX])} if self.background else {})

    def largest(self, number: int | None = None) -> list[int]:
        """Ids of the classes that are in the image, the largest first; at most `number`."""
        shares = list(self.areas().values())[: len(self.classes)]
        present = [label for label, share in enumerate(shares) if share > 0]
        return sorted(present, key=lambda label: -shares[label])[:number]

    def label_of(self, label: int) -> str:
        """Name and share of a class, as pictures and logs show them: ``"a red bus 12.5%"``.

        Args:
            label: of the class; 255: of none of them.
        """
        return f"{self.name_of(label)} {(self.labels == label).mean():.1%}"

    def name_of(self, label: int) -> str:
        """Name of a class, or of none of them (255)."""
        is_background = self.background and label == IGNORE_INDEX
        return NONE_OF_THESE if is_background else self.classes[label]

    def summary(self, number: int = 3) -> str:
        """The largest classes with their shares, and the share of none of them."""
        shown = self.largest(number)
        if self.background:
            shown.append(IGNORE_INDEX)
        return ", ".join(map(self.label_of, shown))

    def draw(self, opacity: float = 0.5, legend: bool | str = True) -> Image.Image:
        """The image in its classes' colours.

        Args:
            opacity: of the colours, 0..1.
            legend: put colours, names and shares of the classes beside it, of the 24 largest;
                unseen names are red. ``"all"``: of those, too, that are not in it, without shares:
                of the same size for every frame of a video, and of up to 24 classes the same.

        Raises:
            InputError: the opacity is not between 0 and 1.
        """
        if not 0 <= opacity <= 1:
            raise InputError(f"opacity={opacity} is not between 0 and 1")
        picture = Image.fromarray(draw_labels(self.image, self.labels, self.palette, opacity))
        if not legend:
            return picture
        every, largest = legend == "all", self.largest()
        asked = list(range(len(self.classes))) if every else largest
        chosen = list(dict.fromkeys([*largest, *asked]))[:_MOST_NAMES]
        text = self.name_of if every else self.label_of
        shown = [label for label in asked if label in chosen]
        if self.background:
            shown.append(IGNORE_INDEX)
        names = {label: text(label) for label in shown}
        if len(asked) > len(chosen):
            names[_MORE] = f"... and {len(asked) - len(chosen)} more"
        # (Of all names, so that every frame of a video has one width.)
        texts = [*names.values(), *(self.classes if every else ())]
        return self._beside_legend(picture, names, texts)

    def _beside_legend(
        self, picture: Image.Image, shown: dict[int, str], texts: Sequence[str]
    ) -> Image.Image:
        size = max(12, min(picture.size) // 28)  # of the letters, pixels
        line = round(1.5 * size)
        # (Of all names, so that one search for a font serves all images; else of those shown.)
        font = ImageFont.truetype(find_font("".join(self.classes), "".join(shown.values())), size)
        width = round(max(map(font.getlength, texts))) + 3 * size
        height = max(picture.height, len(shown) * line + size)
        sheet = Image.new("RGB", (picture.width + width, height), "white")
        sheet.paste(picture)
        pen = ImageDraw.Draw(sheet)
        for row, (label, text) in enumerate(shown.items()):
            left, top = picture.width + size // 2, size // 2 + row * line
            square, ink = (left, top, left + size, top + size), "black"
            if self.background and label == IGNORE_INDEX:
                pen.rectangle(square, outline="grey")
            elif label != _MORE:
                pen.rectangle(square, tuple(self.palette[label]))
                ink = "red" if self.classes[label] in self.unseen else "black"
            place = (left + 1.5 * size, top + size / 2)
            pen.text(place, text, ink, font, anchor="lm")
        return sheet

    def save(self, path: str | Path, format: str, name: str | None = None) -> None:
        """Write a file that other programs read.

        Args:
            path: the file.
            format: ``"index"``: labels as a PNG with the classes' colours, 255 is none of them;
                ``"coco"``: COCO's JSON with run-length codes; ``"labelme"``: LabelMe's polygons;
                ``"html"``: a page to look at. See :mod:`zegclip.apis.outputs`, also for
                several images in one file.
            name: the image's path, relative to the file; without it LabelMe's file holds the image.

        Raises:
            InputError: there is no such format, or it cannot hold so many classes.
        """
        if format == "index":
            write_index_png(self, path)
        elif format == "labelme":
            write_labelme(self, path, name)
        elif format in ("coco", "html"):
            file = CocoFile() if format == "coco" else HtmlReport({})
            file.add(name or f"{Path(path).stem}.png", self)
            file.save(path)
        else:
            raise InputError(f"format={format!r} is none of {', '.join(FORMATS)}")

    def __repr__(self) -> str:
        height, width = self.labels.shape
        return (
            f"SegmentationResult({width}x{height}, {len(self.classes)} classes: {self.summary()})"
        )
