"""A picture's file: its name is checked before work, and it is there whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from PIL import Image

from zegclip.errors import InputError

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".pdf": "PDF", ".webp": "WEBP"}


def check_target(path: Path, force: bool = False) -> None:
    """Refuse a file that :func:`save_picture` could not or should not write.

    Args:
        path: of the picture.
        force: whether a file that is there may be replaced.

    Raises:
        InputError: see the message.
    """
    if path.suffix.lower() not in FORMATS:
        raise InputError(f"{path}: a picture ends in {', '.join(FORMATS)}")
    if path.is_dir():
        raise InputError(f"{path} is a folder")
    if path.exists() and not force:
        raise InputError(f"{path} is there already: --force replaces it")
    folder = path.absolute().parent
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"{path} cannot be written: no access to {folder}")


def save_picture(picture: Image.Image, path: Path) -> None:
    """Write a picture, in the format that its name's ending says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        picture.save(partial, format=FORMATS[path.suffix.lower()], dpi=(200, 200))
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
