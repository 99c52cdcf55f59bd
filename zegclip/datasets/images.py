"""Photographs of all kinds as what a model sees: upright RGB, 8 bits a channel."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias, Union

import cv2
import mmcv.transforms
import numpy as np
from mmengine import fileio
from mmseg.registry import TRANSFORMS
from PIL import Image, ImageOps, UnidentifiedImageError

from zegclip.errors import InputError

try:
    from PIL.AvifImagePlugin import SUPPORTED as AVIF
except ImportError:  # before Pillow 11.3
    AVIF = False

ImageLike: TypeAlias = Union[str, "os.PathLike[str]", bytes, Image.Image, np.ndarray]

# What is decoded, whatever a file is called: Pillow would hand an EPS to Ghostscript.
# (JPEG opens MPO, of several pictures, too.)
FORMATS: tuple[str, ...] = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM")
SUFFIXES: tuple[str, ...] = (
    ".jpg", ".jpeg", ".jfif", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif"
)  # fmt: skip
# Pictures of phones and cameras that are not read.
UNREAD_SUFFIXES: tuple[str, ...] = (
    ".heic", ".heif", ".jxl", ".dng", ".cr2", ".cr3", ".nef", ".arw"
)  # fmt: skip
if AVIF:
    FORMATS, SUFFIXES = (*FORMATS, "AVIF"), (*SUFFIXES, ".avif")
else:
    UNREAD_SUFFIXES = (*UNREAD_SUFFIXES, ".avif")

# Tags of TIFF: whether it is a preview, bits of a pixel, what its numbers mean, the raw format.
_SUBFILE, _BITS, _PHOTOMETRIC, _DNG_VERSION = 254, 258, 262, 50706


def read_image(image: ImageLike) -> np.ndarray:
    """Upright RGB pixels.

    The EXIF orientation of a photograph is applied, transparency becomes white, greys of more than
    8 bits are scaled to 8, of an animation the first frame is taken.

    Args:
        image: a file's path, a file's content (``bytes``), an image of PIL, or pixels: uint8, RGB
            ``(H, W, 3)``, RGBA ``(H, W, 4)`` or grey ``(H, W)``.

    Returns:
        ``(H, W, 3)`` uint8, RGB, a copy.

    Raises:
        InputError: there is no such file, it is not an image, a camera's raw file, broken, or
            larger than Pillow's limit for untrusted files; or the array is of another shape or
            type; or it is none of these things.

    Example:
        >>> read_image("photo.jpg").shape
        (480, 640, 3)
    """
    if isinstance(image, Image.Image):
        with named_errors("the image"):
            return np.array(_upright_rgb(_copy(image), "the image", getattr(image, "tag_v2", {})))
    if isinstance(image, np.ndarray):
        channels = image.shape[2:] in ((), (3,), (4,)) and image.ndim > 1
        if image.dtype != np.uint8 or not image.size or not channels:
            raise InputError(
                f"the image is an array of {image.dtype} and shape {image.shape}: give (H, W, 3) "
                "uint8, RGB, 0..255"
            )
        return np.array(_upright_rgb(Image.fromarray(image), "the image", {}))
    if isinstance(image, bytes):
        return np.array(_decode(image, "the image"))
    if not isinstance(image, (str, os.PathLike)):
        raise InputError(
            f"the image is of type {type(image).__name__}: give a file's path or content (bytes), "
            "an image of PIL, or an (H, W, 3) uint8 array of numpy's"
        )
    if isinstance(image, str) and "://" in image:
        raise InputError(f"{image} is no file here: download it first")
    path = expand_user(image)
    if not path.is_file():
        raise InputError(f"{image}: there is no such file")
    if path.suffix.lower() in UNREAD_SUFFIXES:  # (many hold a small preview, which can be read)
        raise InputError(f"{image}: {path.suffix} is not read: convert it to .jpg")
    return np.array(_decode(path.read_bytes(), str(image)))


def expand_user(path: str | os.PathLike[str]) -> Path:
    """The path; one that begins with ~ is in a home folder, unless it is there as it stands."""
    path = Path(path)
    try:
        return path if path.exists() else path.expanduser()
    except RuntimeError:  # there is no such user
        return path


def image_size(file: str | os.PathLike[str]) -> tuple[int, int]:
    """(H, W) of an image as it is loaded, EXIF orientation applied; only its header is read."""
    with named_errors(os.fspath(file)), Image.open(file, formats=FORMATS) as image:
        width, height = image.size
        _forget_xmp(image)
        turned = image.getexif().get(274, 1) >= 5  # Exif 2.3: by a quarter, maybe mirrored
        turned &= 274 not in getattr(image, "tag_v2", ())  # (a TIFF's size is upright already)
    return (width, height) if turned else (height, width)


@contextmanager
def named_errors(name: str) -> Iterator[None]:
    """Within, whatever Pillow raises becomes an ``InputError`` that names the image file."""
    try:
        yield
    except InputError:
        raise
    except Image.DecompressionBombError as error:
        raise InputError(f"{name} is too large ({error}): cut it into tiles") from error
    except Exception as error:  # a damaged file can raise anything
        # (UnidentifiedImageError's text has only an address in memory.)
        reason = "" if isinstance(error, UnidentifiedImageError) else f": {error}"
        raise InputError(
            f"{name}: not a readable image (missing, broken or cut short?){reason}"
        ) from error


@TRANSFORMS.register_module()
class LoadImageFromFile(mmcv.transforms.LoadImageFromFile):
    """mmcv's, reading as :func:`read_image`, so that training, test and interface see the same.

    OpenCV shows the colours under transparent pixels, and does not say what is broken. It is
    registered under the same name in mmseg's registry, so that mmseg's inferencers read alike; what
    was asked for in another way (``color_type``, ``imdecode_backend``) is mmcv's as before.
    """

    def transform(self, results: dict) -> dict | None:
        """Add ``img`` (H, W, 3) BGR, ``img_shape`` and ``ori_shape``.

        Raises:
            InputError: the file cannot be read.
        """
        if (self.color_type, self.imdecode_backend) != ("color", "cv2"):
            return super().transform(results)
        content = fileio.get(results["img_path"], backend_args=self.backend_args)
        try:
            rgb = np.asarray(_decode(content, results["img_path"]))
        except InputError:
            if self.ignore_empty:
                return None
            raise
        image = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
        results["img"] = image.astype(np.float32) if self.to_float32 else image
        results["img_shape"] = results["ori_shape"] = image.shape[:2]
        return results


def _decode(content: bytes, name: str) -> Image.Image:
    with named_errors(name), Image.open(io.BytesIO(content), formats=FORMATS) as file:
        tags = getattr(file, "tag_v2", {})  # of a TIFF, such as a camera's raw file
        if _DNG_VERSION in tags or tags.get(_SUBFILE, 0) & 1:
            raise InputError(f"{name}: a camera's raw file or a preview alone: convert it to .jpg")
        return _upright_rgb(file, name, tags)


def _copy(image: Image.Image) -> Image.Image:
    """A copy; a TIFF would obey XMP while it is loaded, which may be only now."""
    xmp = {key: image.info.pop(key) for key in list(image.info) if _is_xmp(key)}
    try:
        return image.copy()
    finally:
        image.info.update(xmp)


def _upright_rgb(image: Image.Image, name: str, tags: Mapping[int, Any]) -> Image.Image:
    _forget_xmp(image)  # (of a TIFF, which turns itself while it is loaded,)
    image.load()
    _forget_xmp(image)  # (and of a PNG that has it at its end)
    ImageOps.exif_transpose(image, in_place=True)
    if image.mode.startswith(("I", "F")):  # Pillow would clip at 255, and a scan would be white
        values = np.asarray(image)
        if values.dtype.kind == "f" or values.min() < 0 or values.max() > 65535:
            raise InputError(f"{name} has {values.dtype} pixels: save it with 8 or 16 bits")
        (bits, *_), deepest = tags.get(_BITS, (16,)), 65535
        if bits < 16:  # of a scanner or a microscope, 12
            deepest = 2**bits - 1
        elif image.mode == "I" and values.max() <= 255:
            deepest = 255
        values = values.astype(np.uint32)
        if tags.get(_PHOTOMETRIC) == 0:  # white is zero
            values = deepest - values
        image = Image.fromarray((values * 255 // deepest).astype(np.uint8))
    elif image.has_transparency_data:
        coloured = image.convert("RGBA")
        white = Image.new("RGBA", coloured.size, "white")
        image = Image.alpha_composite(white, coloured)
    return image if image.mode == "RGB" else image.convert("RGB")


def _forget_xmp(image: Image.Image) -> None:
    """Pillow obeys an orientation in XMP too; OpenCV, browsers and whoever drew the mask do not."""
    image.info = {key: value for key, value in image.info.items() if not _is_xmp(key)}


def _is_xmp(key: Any) -> bool:
    return "xmp" in str(key)
