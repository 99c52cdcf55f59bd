"""Photographs of all kinds become upright 8-bit RGB, or one clear message."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from zegclip.apis import read_image
from zegclip.errors import InputError

RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)


@pytest.fixture
def photo() -> Image.Image:
    """4 wide, 2 high, the left half red, the right half blue."""
    return Image.fromarray(np.array([[RED, RED, BLUE, BLUE]] * 2, np.uint8))


def test_exif_orientation_is_applied(photo: Image.Image, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # "turn by 90 degrees to the right to see it upright"
    photo.save(tmp_path / "turned.png", exif=exif)
    upright = read_image(tmp_path / "turned.png")
    assert upright.shape == (4, 2, 3)
    assert tuple(upright[0, 0]) == RED and tuple(upright[3, 0]) == BLUE


def test_transparency_becomes_white(photo: Image.Image, tmp_path: Path) -> None:
    see_through = photo.copy()
    see_through.putalpha(Image.fromarray(np.array([[255, 255, 0, 0]] * 2, np.uint8)))
    palette = photo.convert("P", palette=Image.Palette.ADAPTIVE, colors=2)
    palette.save(tmp_path / "palette.png", transparency=palette.getpixel((3, 0)))
    for value in (see_through, np.asarray(see_through), tmp_path / "palette.png"):
        pixels = read_image(value)
        assert tuple(pixels[0, 0]) == RED and tuple(pixels[0, 3]) == WHITE


def test_grey_of_8_and_16_bits(tmp_path: Path) -> None:
    grey = np.array([[0, 128, 255]], np.uint8)
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    for value in (grey, Image.fromarray(grey), tmp_path / "deep.png"):
        pixels = read_image(value)
        assert pixels.dtype == np.uint8 and np.array_equal(pixels[..., 2], grey)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.zeros((2, 2, 3), np.float32), r"array of float32 and shape \(2, 2, 3\).*uint8"),
        (np.zeros((2, 2, 5), np.uint8), r"shape \(2, 2, 5\)"),
        (np.zeros((0, 2, 3), np.uint8), r"shape \(0, 2, 3\)"),
        ("none.jpg", r"none\.jpg: there is no such file"),
    ],
)
def test_what_is_no_image_is_refused(value: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_image(value)


def test_bad_files_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, cut = tmp_path / "whole.png", tmp_path / "cut.png"
    Image.effect_noise((64, 64), 50).save(whole)
    cut.write_bytes(whole.read_bytes()[:2000])
    (tmp_path / "text.jpg").write_text("no image")
    # Pillow would hand an EPS to Ghostscript, whatever the file is called.
    eps = "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"
    (tmp_path / "evil.png").write_text(eps)
    for name in ("cut.png", "text.jpg", "evil.png"):
        with pytest.raises(InputError, match=f"{name} cannot be read as an image"):
            read_image(tmp_path / name)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(InputError, match="4096 pixels.*exceeds limit"):
        read_image(whole)
