"""Photographs of all kinds as what a model sees: upright RGB, 8 bits a channel."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any, TypeAlias, Union

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from zegclip.errors import InputError

ImageLike: TypeAlias = Union[str, "os.PathLike[str]", Image.Image, np.ndarray]

# What the labels, and the probabilities on request, of an image take grows with its pixels.
MAX_PIXELS = 64_000_000
# What is decoded, whatever a file is called: Pillow would hand an EPS to Ghostscript.
# (JPEG opens MPO, of several pictures, too.)
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif")


def is_image(value: Any) -> bool:
    """Whether a value stands for one image, not for several."""
    return isinstance(value, (str, os.PathLike, Image.Image, np.ndarray))


def name_of(image: Any, index: int | None = None) -> str:
    """What messages call an image: its path, or what it is."""
    if isinstance(image, (str, os.PathLike)):
        return os.fspath(image)
    file = getattr(image, "filename", "")
    if file:
        return str(file)
    return "the image" if index is None else f"image {index}"


def read_image(image: ImageLike, name: str | None = None) -> np.ndarray:
    """Upright RGB pixels.

    The EXIF orientation of a photograph is applied, transparency becomes white, 16-bit and
    floating-point greys are scaled to 8 bits, of an animation the first frame is taken.

    Args:
        image: a file's path, an image of PIL, or pixels: uint8, RGB ``(H, W, 3)``, RGBA
            ``(H, W, 4)`` or grey ``(H, W)`` or ``(H, W, 1)``.
        name: for messages; default: the path.

    Returns:
        ``(H, W, 3)`` uint8, RGB, contiguous.

    Raises:
        InputError: there is no such file, it is no image or broken, the array is of another
            shape or type, or there are more than :data:`MAX_PIXELS` pixels.
    """
    name = name or name_of(image)
    if isinstance(image, np.ndarray):
        return _from_array(image, name)
    if isinstance(image, Image.Image):
        return _from_pil(image, name)
    if not isinstance(image, (str, os.PathLike)):
        raise InputError(
            f"{name} is a {type(image).__name__}: give a path, a PIL image or an (H, W, 3) uint8 "
            "array"
        )
    path = Path(image).expanduser()
    if path.is_dir():
        raise InputError(f"{name} is a folder: give a file, or the list of its files")
    if not path.exists():
        raise InputError(f"{name}: there is no such file")
    try:
        with warnings.catch_warnings():
            # PIL's warning of many pixels: they are counted here.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            file = Image.open(path, formats=FORMATS)
    except UnidentifiedImageError:
        raise InputError(f"{name} is no image that can be read (or it is broken)") from None
    except Image.DecompressionBombError:
        raise InputError(_too_large(name)) from None
    except (OSError, ValueError, SyntaxError) as error:
        raise InputError(f"{name} cannot be read: {error}") from error
    with file:
        return _from_pil(file, name)


def _too_large(name: str, size: tuple[int, int] | None = None) -> str:
    found = f" ({size[0]}x{size[1]})" if size else ""
    return (
        f"{name} has more than {MAX_PIXELS // 10**6} million pixels{found}: make it smaller first"
    )


def _from_array(pixels: np.ndarray, name: str) -> np.ndarray:
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or channels not in (1, 3, 4):
        raise InputError(
            f"{name} is an array of {pixels.dtype} and shape {pixels.shape}: give (H, W, 3) uint8, "
            "RGB, 0..255"
        )
    if not pixels.size:
        raise InputError(f"{name} has no pixels: its shape is {pixels.shape}")
    if pixels.shape[0] * pixels.shape[1] > MAX_PIXELS:
        raise InputError(_too_large(name, pixels.shape[1::-1]))
    if channels == 3 and pixels.ndim == 3:
        return np.array(pixels)  # a copy: the caller's may change
    return _from_pil(Image.fromarray(pixels[..., 0] if pixels.shape[2:] == (1,) else pixels), name)


def _from_pil(image: Image.Image, name: str) -> np.ndarray:
    if image.width * image.height > MAX_PIXELS:
        raise InputError(_too_large(name, image.size))
    if not image.width or not image.height:
        raise InputError(f"{name} has no pixels: its size is {image.width}x{image.height}")
    try:
        image.load()
        upright = _upright(image)
        return np.array(_rgb(upright))
    except MemoryError:
        raise
    except Exception as error:  # PIL's decoders raise whatever they come upon in a broken file
        raise InputError(f"{name} is broken or cut short: {error}") from error


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # EXIF that cannot be read says nothing about the pixels
        return image


def _rgb(image: Image.Image) -> Image.Image:
    """Any mode of PIL as RGB, transparent pixels on white."""
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        return Image.fromarray(_eight_bits(np.asarray(image))).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        coloured = image.convert("RGBA")
        white = Image.new("RGBA", coloured.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, coloured).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _eight_bits(grey: np.ndarray) -> np.ndarray:
    """Greys of more than 8 bits: 0..65535 (or 0..255 or 0..1, whichever they fit) -> 0..255.

    PIL would clip 16-bit greys at 255, and a scan would be white.
    """
    values = np.nan_to_num(np.asarray(grey, dtype=np.float64))
    largest = values.max()
    if np.issubdtype(grey.dtype, np.floating):
        top = 1.0 if largest <= 1 else 255.0 if largest <= 255 else 65535.0
    else:  # a 16-bit file whose values are all small is a dark one
        top = 65535.0
    return (values.clip(0, top) * (255 / top)).round().astype(np.uint8)
