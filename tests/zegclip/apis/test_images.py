"""Photographs of all kinds become upright 8-bit RGB, or one clear message."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from zegclip.apis import images, read_image
from zegclip.errors import InputError

RED, WHITE = (255, 0, 0), (255, 255, 255)


@pytest.fixture
def photo() -> Image.Image:
    """4 wide, 2 high, the left half red, the right half blue."""
    pixels = np.zeros((2, 4, 3), np.uint8)
    pixels[:, :2, 0] = pixels[:, 2:, 2] = 255
    return Image.fromarray(pixels)


def test_exif_orientation_is_applied(photo: Image.Image, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # "turn by 90 degrees to the right to see it upright"
    photo.save(tmp_path / "turned.png", exif=exif)
    upright = read_image(tmp_path / "turned.png")
    assert upright.shape == (4, 2, 3)
    assert tuple(upright[0, 0]) == RED and tuple(upright[3, 0]) == (0, 0, 255)


def test_transparency_becomes_white(photo: Image.Image, tmp_path: Path) -> None:
    see_through = photo.copy()
    see_through.putalpha(Image.fromarray(np.array([[255, 255, 0, 0]] * 2, np.uint8)))
    for value in (see_through, np.asarray(see_through)):
        pixels = read_image(value)
        assert tuple(pixels[0, 0]) == RED and tuple(pixels[0, 3]) == WHITE
    palette = photo.convert("P", palette=Image.Palette.ADAPTIVE, colors=2)
    index = palette.getpixel((3, 0))
    palette.save(tmp_path / "palette.png", transparency=index)
    pixels = read_image(tmp_path / "palette.png")
    assert tuple(pixels[0, 0]) == RED and tuple(pixels[0, 3]) == WHITE


def test_grey_of_all_depths(tmp_path: Path) -> None:
    grey = np.array([[0, 128, 255]], np.uint8)
    for value in (grey, grey[..., None], Image.fromarray(grey)):
        assert np.array_equal(read_image(value)[..., 0], grey)
    deep = (grey.astype(np.uint16) * 257).astype(np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    Image.fromarray(grey.astype(np.float32) / 255).save(tmp_path / "float.tiff")
    for name in ("deep.png", "float.tiff"):
        pixels = read_image(tmp_path / name)
        assert pixels.dtype == np.uint8 and np.array_equal(pixels[..., 2], grey)


def test_an_array_is_copied(photo: Image.Image) -> None:
    pixels = np.array(photo)
    read = read_image(pixels)
    pixels[:] = 0
    assert tuple(read[0, 0]) == RED


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.zeros((2, 2, 3), np.float32), r"array of float32 and shape \(2, 2, 3\).*uint8"),
        (np.zeros((2, 2, 5), np.uint8), r"shape \(2, 2, 5\)"),
        (np.zeros((0, 2, 3), np.uint8), "no pixels"),
        (3, "is a int: give a path"),
    ],
)
def test_what_is_no_image_is_refused(value: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_image(value)


def test_bad_files_are_named(photo: Image.Image, tmp_path: Path) -> None:
    text, cut = tmp_path / "text.jpg", tmp_path / "cut.png"
    text.write_text("no image")
    Image.effect_noise((64, 64), 50).save(tmp_path / "whole.png")
    whole = (tmp_path / "whole.png").read_bytes()
    cut.write_bytes(whole[: len(whole) // 2])
    for path, message in (
        (text, r"text\.jpg is no image"),
        (cut, r"cut\.png is broken or cut short"),
        (tmp_path / "none.jpg", r"none\.jpg: there is no such file"),
        (tmp_path, "is a folder"),
    ):
        with pytest.raises(InputError, match=message):
            read_image(path)


def test_too_many_pixels(monkeypatch: pytest.MonkeyPatch, photo: Image.Image) -> None:
    monkeypatch.setattr(images, "MAX_PIXELS", 7)
    for value in (photo, np.asarray(photo)):
        with pytest.raises(InputError, match=r"\(4x2\): make it smaller"):
            read_image(value)
