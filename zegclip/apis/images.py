"""Photographs of all kinds as what a model sees: upright RGB, 8 bits a channel."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeAlias, Union

import numpy as np
from PIL import Image, ImageOps

from zegclip.errors import InputError

ImageLike: TypeAlias = Union[str, "os.PathLike[str]", Image.Image, np.ndarray]

# What is decoded, whatever a file is called: Pillow would hand an EPS to Ghostscript.
# (JPEG opens MPO, of several pictures, too.)
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif")


def read_image(image: ImageLike) -> np.ndarray:
    """Upright RGB pixels.

    The EXIF orientation of a photograph is applied, transparency becomes white, 16-bit greys are
    scaled to 8 bits, of an animation the first frame is taken.

    Args:
        image: a file's path, an image of PIL, or pixels: uint8, RGB ``(H, W, 3)``, RGBA
            ``(H, W, 4)`` or grey ``(H, W)``.

    Returns:
        ``(H, W, 3)`` uint8, RGB, a copy.

    Raises:
        InputError: there is no such file, it is not an image, broken, or larger than Pillow's limit
            for untrusted files; or the array is of another shape or type.

    Example:
        >>> read_image("photo.jpg").shape
        (480, 640, 3)
    """
    if isinstance(image, Image.Image):
        return _upright_rgb(image)
    if isinstance(image, np.ndarray):
        channels = image.shape[2:] in ((), (3,), (4,)) and image.ndim > 1
        if image.dtype != np.uint8 or not image.size or not channels:
            raise InputError(
                f"the image is an array of {image.dtype} and shape {image.shape}: give (H, W, 3) "
                "uint8, RGB, 0..255"
            )
        return _upright_rgb(Image.fromarray(image))
    path = Path(image).expanduser()
    if not path.is_file():
        raise InputError(f"{image}: there is no such file")
    try:
        with Image.open(path, formats=FORMATS) as file:
            return _upright_rgb(file)
    # (Broken files make Pillow's decoders raise these and others' subclasses of them.)
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise InputError(f"{image} cannot be read as an image: {error}") from error


def _upright_rgb(image: Image.Image) -> np.ndarray:
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):  # Pillow would clip 16 bits at 255, and a scan would be white
        image = Image.fromarray((np.asarray(image) // 257).astype(np.uint8))
    elif image.has_transparency_data:
        coloured = image.convert("RGBA")
        white = Image.new("RGBA", coloured.size, "white")
        image = Image.alpha_composite(white, coloured)
    return np.array(image.convert("RGB"))
