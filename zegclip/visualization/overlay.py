"""Label maps and heat maps drawn over an image."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

SEEN_COLOUR, UNSEEN_COLOUR = (0, 0, 0), (214, 0, 0)


def draw_labels(
    image: np.ndarray,
    labels: np.ndarray,
    classes: Sequence[str],
    palette: Sequence[Sequence[int]],
    unseen: Sequence[str] = (),
    opacity: float = 0.6,
    scale: int = 1,
    min_share: float = 0.004,
    write_names: bool = True,
) -> Image.Image:
    """Colour every class's pixels and write its name on it, unseen names in red.

    Args:
        image: ``(H, W, 3)`` uint8, RGB.
        labels: ``(H, W)`` ids; ids outside the classes (255) stay as they are.
        classes: names in label order.
        palette: RGB of each class.
        unseen: names to write in red, as in TagCLIP's Fig. 1; the others are black.
        opacity: of the colour, 0..1.
        scale: the picture is this many times larger than the image.
        min_share: classes with a smaller share of the pixels get no name.
        write_names: ``False`` leaves the names out.

    Raises:
        ValueError: image and labels differ in size.
    """
    if image.shape[:2] != labels.shape:
        raise ValueError(f"image is {image.shape[:2]}, labels are {labels.shape}")
    colours = np.asarray(palette, dtype=np.float32).reshape(-1, 3)
    known = labels < len(classes)
    blended = image.astype(np.float32)
    blended[known] = (1 - opacity) * blended[known] + opacity * colours[labels[known]]
    picture = _enlarged(blended.astype(np.uint8), scale)
    if not write_names:
        return picture
    pen = ImageDraw.Draw(picture)
    font = ImageFont.load_default(size=max(10, min(picture.size) // 16))
    for label in np.unique(labels[known]):
        mask = labels == label
        if mask.mean() < min_share:
            continue
        name = classes[label]
        x, y = _deepest_point(mask)
        _write(pen, (x * scale, y * scale), name, name in unseen, font, picture.size)
    return picture


def hatch(image: np.ndarray, mask: np.ndarray, period: int = 8) -> np.ndarray:
    """Grey diagonal lines over a part of an image: what is ignored.

    Args:
        image: ``(H, W, 3)`` uint8, RGB.
        mask: ``(H, W)`` bool, where to draw.
        period: pixels from one line to the next; a line is a quarter of that.

    Returns:
        A new ``(H, W, 3)`` uint8 image; outside ``mask`` it is the old one.
    """
    y, x = np.indices(mask.shape)
    hatched = image.copy()
    hatched[mask] = (image[mask].astype(np.float32) + 2 * 128) / 3  # paler towards grey
    hatched[mask & ((x + y) % period < max(1, period // 4))] = 90
    return hatched


def draw_heat_map(
    image: np.ndarray, heat: np.ndarray, opacity: float = 0.55, scale: int = 1
) -> Image.Image:
    """A map over its image: blue is 0, red is 1 (as TagCLIP's Fig. 4 shows the trusty map).

    Args:
        image: ``(H, W, 3)`` uint8, RGB.
        heat: ``(H, W)`` in 0..1; values outside are clipped.
        opacity: of the colour, 0..1.
        scale: the picture is this many times larger than the image.
    """
    levels = (heat.clip(0, 1) * 255).astype(np.uint8)
    colours = cv2.applyColorMap(levels, cv2.COLORMAP_JET)[..., ::-1]
    blended = (1 - opacity) * image.astype(np.float32) + opacity * colours
    return _enlarged(blended.astype(np.uint8), scale)


def _enlarged(image: np.ndarray, scale: int) -> Image.Image:
    height, width = image.shape[:2]
    return Image.fromarray(image).resize((width * scale, height * scale), Image.Resampling.NEAREST)


def _deepest_point(mask: np.ndarray) -> tuple[int, int]:
    """The pixel (x, y) of a mask that is farthest from its border."""
    padded = np.pad(mask.astype(np.uint8), 1)
    distance = cv2.distanceTransform(padded, cv2.DIST_L2, 3)[1:-1, 1:-1]
    y, x = np.unravel_index(int(distance.argmax()), distance.shape)
    return int(x), int(y)


def _write(
    pen: ImageDraw.ImageDraw,
    centre: tuple[int, int],
    name: str,
    unseen: bool,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    size: tuple[int, int],
) -> None:
    """A name in a white box, kept inside the picture."""
    left, top, right, bottom = pen.textbbox((0, 0), name, font=font)
    width, height = right - left + 4, bottom - top + 4
    x = int(min(max(centre[0] - width / 2, 0), max(size[0] - width, 0)))
    y = int(min(max(centre[1] - height / 2, 0), max(size[1] - height, 0)))
    pen.rectangle((x, y, x + width, y + height), fill=(255, 255, 255))
    colour = UNSEEN_COLOUR if unseen else SEEN_COLOUR
    pen.text((x + 2 - left, y + 2 - top), name, fill=colour, font=font)
