"""Writing files so that each is whole or absent, and telling whole ones from the rest."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image

_PNG_BEGIN, _PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"
# Identity: whoever reads the palette's colours instead of the indices gets the same numbers.
_GREY_PALETTE = bytes(value for value in range(256) for _ in range(3))


def write_whole(target: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Let ``write`` fill a temporary file beside ``target``, then give it its name.

    The folder is made if need be. If ``write`` raises, nothing of it remains.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with temporary.open("wb") as file:
            write(file)
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(target: Path, content: bytes) -> None:
    """Write a whole file."""
    write_whole(target, lambda file: file.write(content))


def save_mask(mask: Image.Image | np.ndarray, target: Path) -> None:
    """Write ``(H, W)`` uint8 labels as an 8-bit palette PNG whose palette is the grey ramp.

    A palette PNG is written without row filters, which suit photographs and not labels: faster
    and smaller than a grey one. The level of compression is the one beyond which files hardly
    shrink while time grows.
    """
    image = mask if isinstance(mask, Image.Image) else Image.fromarray(mask)
    if image.mode not in ("L", "P"):
        raise ValueError(f"labels must be 8-bit integers of one channel, not {image.mode}")
    image.putpalette(_GREY_PALETTE)
    write_whole(target, lambda file: image.save(file, format="PNG", compress_level=3))


def copy_whole(source: Path, target: Path) -> None:
    """Copy a file so that ``target`` is never half of it."""
    with source.open("rb") as stream:
        write_whole(target, lambda file: shutil.copyfileobj(stream, file))


def write_names(target: Path, names: Iterable[str]) -> None:
    """Write a list, one name a line."""
    write_bytes(target, "".join(f"{name}\n" for name in names).encode())


def is_whole_png(path: Path) -> bool:
    """Whether a file begins and ends as a PNG does; one that was half written does not end so."""
    try:
        with path.open("rb") as file:
            if file.read(len(_PNG_BEGIN)) != _PNG_BEGIN:
                return False
            file.seek(-len(_PNG_END), os.SEEK_END)
            return file.read() == _PNG_END
    except OSError:
        return False


def sizes_in(folder: Path) -> dict[str, int]:
    """Name and size in bytes of each file in a folder, without temporary ones."""
    if not folder.is_dir():
        return {}
    with os.scandir(folder) as entries:
        return {
            entry.name: entry.stat().st_size
            for entry in entries
            if not entry.name.startswith(".") and entry.is_file()
        }
