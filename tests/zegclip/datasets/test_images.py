"""Photographs of all kinds become upright 8-bit RGB, or one clear message."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import mmcv
import numpy as np
import pytest
import torch
from mmseg.registry import TRANSFORMS
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from zegclip.datasets import LoadImageFromFile, read_image
from zegclip.datasets.images import AVIF, SUFFIXES, UNREAD_SUFFIXES, image_size
from zegclip.errors import InputError

RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)


@pytest.fixture
def photo() -> Image.Image:
    """4 wide, 2 high, the left half red, the right half blue."""
    return Image.fromarray(np.array([[RED, RED, BLUE, BLUE]] * 2, np.uint8))


def loaded(file: Path) -> np.ndarray:
    """As training and test see it, in RGB; of the size that the header alone says."""
    results = TRANSFORMS.build(dict(type="LoadImageFromFile"))({"img_path": str(file)})
    assert results["ori_shape"] == results["img_shape"] == image_size(file)
    assert results["img"].flags["C_CONTIGUOUS"]
    return results["img"][..., ::-1]


XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
    'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
    'xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
)


@pytest.mark.parametrize("tag", ["none", "exif", "xmp"])
@pytest.mark.parametrize("kind", ["jpg", "png", "webp", "tif"])
def test_orientation_is_applied_by_all_readers(
    photo: Image.Image, tmp_path: Path, kind: str, tag: str
) -> None:
    """6: turn by 90 degrees to the right. OpenCV, with which mmseg draws, knows no XMP."""
    exif, text, tiff = Image.Exif(), PngInfo(), ImageFileDirectory_v2()
    exif[274] = tiff[274] = 6
    text.add_itxt("XML:com.adobe.xmp", XMP)
    options: dict[str, Any] = {"exif": exif} if tag == "exif" else {}
    if kind == "tif" and tag == "exif":
        options = {"tiffinfo": tiff}
    elif tag == "xmp":
        del tiff[274]
        tiff[700], tiff.tagtype[700] = XMP.encode(), 7
        options = {"png": {"pnginfo": text}, "tif": {"tiffinfo": tiff}}.get(
            kind, {"xmp": XMP.encode()}
        )
    file = tmp_path / f"a.{kind}"
    photo.resize((64, 32), Image.Resampling.NEAREST).save(file, **options)
    pixels = read_image(file)
    assert pixels.shape == ((64, 32, 3) if tag == "exif" else (32, 64, 3))
    assert pixels[0, 0, 0] > 250 > 5 > pixels[-1, -1, 0] and pixels[-1, -1, 2] > 250
    assert np.array_equal(loaded(file), pixels)
    assert mmcv.imread(file).shape == pixels.shape
    with Image.open(file) as opened:
        before = dict(opened.info)
        assert np.array_equal(read_image(opened), pixels)
        assert tag != "xmp" or opened.info.items() >= before.items()


@pytest.mark.skipif(not AVIF, reason="Pillow without AVIF")
@pytest.mark.parametrize("orientation", [1, 6])
def test_avif(photo: Image.Image, tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    large = photo.resize((64, 32), Image.Resampling.NEAREST)
    large.save(tmp_path / "a.avif", exif=exif, quality=100)
    pixels = read_image(tmp_path / "a.avif")
    assert pixels.shape == ((64, 32, 3) if orientation == 6 else (32, 64, 3))
    assert pixels[0, 0, 0] > 240 > 15 > pixels[-1, -1, 0] and pixels[-1, -1, 2] > 240
    assert np.array_equal(loaded(tmp_path / "a.avif"), pixels)
    assert ".avif" in SUFFIXES and ".avif" not in UNREAD_SUFFIXES


def test_the_content_of_a_file_is_read_as_the_file(photo: Image.Image, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    photo.resize((64, 32)).save(tmp_path / "a.jpg", exif=exif)
    pixels = read_image((tmp_path / "a.jpg").read_bytes())
    assert pixels.shape == (64, 32, 3) and np.array_equal(pixels, read_image(tmp_path / "a.jpg"))


def test_transparency_becomes_white(photo: Image.Image, tmp_path: Path) -> None:
    see_through = photo.copy()
    see_through.putalpha(Image.fromarray(np.array([[255, 255, 0, 0]] * 2, np.uint8)))
    palette = photo.convert("P", palette=Image.Palette.ADAPTIVE, colors=2)
    palette.save(tmp_path / "palette.png", transparency=palette.getpixel((3, 0)))
    see_through.save(tmp_path / "alpha.png")
    see_through.save(tmp_path / "alpha.webp", lossless=True)
    files = [tmp_path / name for name in ("palette.png", "alpha.png", "alpha.webp")]
    for value in (see_through, np.asarray(see_through), *files):
        pixels = read_image(value)
        assert tuple(pixels[0, 0]) == RED and tuple(pixels[0, 3]) == WHITE
    for file in files:
        assert np.array_equal(loaded(file), read_image(file))


def test_grey_of_8_and_16_bits(tmp_path: Path) -> None:
    grey = np.array([[0, 128, 255]], np.uint8)
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    for value in (grey, Image.fromarray(grey), tmp_path / "deep.png"):
        pixels = read_image(value)
        assert pixels.dtype == np.uint8 and np.array_equal(pixels[..., 2], grey)
    assert np.array_equal(loaded(tmp_path / "deep.png"), read_image(tmp_path / "deep.png"))


def tiff(bits: int, black: int, data: bytes, size: tuple[int, int], *more: Any) -> bytes:
    """A grey one, as Pillow does not write it; `black`: 0 or 1; `more`: tag, type, count, value."""
    tags = [
        (256, 3, 1, size[0]), (257, 3, 1, size[1]), (258, 3, 1, bits), (259, 3, 1, 1),
        (262, 3, 1, black), (277, 3, 1, 1), (278, 3, 1, size[1]), (279, 4, 1, len(data)), *more
    ]  # fmt: skip
    start = 8 + 2 + 12 * (len(tags) + 1) + 4
    directory = b"".join(struct.pack("<HHII", *tag) for tag in sorted([*tags, (273, 4, 1, start)]))
    head = b"II*\0" + struct.pack("<IH", 8, len(tags) + 1)
    return head + directory + bytes(4) + data


def test_grey_tiffs_of_scanners_and_microscopes(tmp_path: Path) -> None:
    of_12 = bytes.fromhex("000 800 fff 010".replace(" ", ""))  # 0, 2048, 4095, 16
    of_16 = np.array([0, 32896, 65535], np.uint16).astype("<u2").tobytes()
    for name, content, expected in (
        ("a.tif", tiff(12, 1, of_12, (4, 1)), [0, 127, 255, 0]),
        ("b.tif", tiff(16, 1, of_16, (3, 1)), [0, 128, 255]),
        ("white is zero.tif", tiff(16, 0, of_16, (3, 1)), [255, 127, 0]),
    ):
        (tmp_path / name).write_bytes(content)
        assert read_image(tmp_path / name)[0, :, 1].tolist() == expected, name
        assert np.array_equal(loaded(tmp_path / name), read_image(tmp_path / name))
        with Image.open(tmp_path / name) as opened:
            assert np.array_equal(read_image(opened), read_image(tmp_path / name))


def test_integers_up_to_255_are_8_bits(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 7, 255]], np.int32))
    image.save(tmp_path / "long.tif")
    for value in (image, tmp_path / "long.tif"):
        assert read_image(value)[0, :, 0].tolist() == [0, 7, 255]


def test_raw_files_of_cameras_are_refused(photo: Image.Image, tmp_path: Path) -> None:
    """Not their small preview, which many hold as a whole TIFF or JPEG."""
    for name in ("a.NEF", "a.heic"):
        photo.save(tmp_path / name, "JPEG")
        with pytest.raises(InputError, match=rf"{name}: \.\w+ is not read: convert it to \.jpg"):
            read_image(tmp_path / name)
    grey = bytes([0, 255])
    for more in ((254, 4, 1, 1), (50706, 1, 4, 0x0401)):  # a preview; DNG 1.4
        (tmp_path / "renamed.tif").write_bytes(tiff(8, 1, grey, (2, 1), more))
        for read in (read_image, loaded):
            with pytest.raises(InputError, match=r"renamed\.tif: a camera's raw file or a preview"):
                read(tmp_path / "renamed.tif")
    (tmp_path / "page.tif").write_bytes(tiff(8, 1, grey, (2, 1), (254, 4, 1, 2)))  # of several
    assert read_image(tmp_path / "page.tif")[0, :, 0].tolist() == [0, 255]


def test_names_with_a_tilde(photo: Image.Image, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    photo.save("~b.png")
    photo.save("home/c.png")
    for name in ("~b.png", "~/c.png"):
        assert read_image(name).shape == (2, 4, 3)
    with pytest.raises(InputError, match=r"~nobody_at_all\.png: there is no such file"):
        read_image("~nobody_at_all.png")


def test_what_mmcv_does_on_request(photo: Image.Image, tmp_path: Path) -> None:
    photo.save(tmp_path / "a.png")
    sample = {"img_path": str(tmp_path / "a.png")}
    assert LoadImageFromFile(color_type="grayscale")(dict(sample))["img"].ndim == 2
    assert LoadImageFromFile(to_float32=True)(dict(sample))["img"].dtype == np.float32
    (tmp_path / "a.png").write_bytes(b"broken")
    assert LoadImageFromFile(ignore_empty=True)(dict(sample)) is None


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.zeros((2, 2, 3), np.float32), r"array of float32 and shape \(2, 2, 3\).*uint8"),
        (np.zeros((2, 2, 5), np.uint8), r"shape \(2, 2, 5\)"),
        (np.zeros((0, 2, 3), np.uint8), r"shape \(0, 2, 3\)"),
        ("none.jpg", r"none\.jpg: there is no such file"),
        ("https://example.com/a.jpg", r"https://example\.com/a\.jpg .*: download it first"),
        (torch.zeros(3, 2, 2), r"of type Tensor: give a file's path or content .*\(H, W, 3\)"),
        ([["a.jpg"]], "of type list: give a file's path"),
        (None, "of type NoneType: give a file's path"),
        (b"no image", "the image: not a readable image"),
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
    half = tmp_path / "half.jpg"
    Image.effect_noise((64, 64), 50).save(half)
    half.write_bytes(half.read_bytes()[:-800])
    for name in ("cut.png", "text.jpg", "evil.png", "half.jpg"):
        for read in (read_image, loaded):
            with pytest.raises(InputError, match=f"{name}: not a readable image"):
                read(tmp_path / name)
    with Image.open(half) as opened, pytest.raises(InputError, match="the image: not a readable"):
        read_image(opened)
    Image.fromarray(np.ones((2, 2), np.float32)).save(tmp_path / "float.tif")
    Image.fromarray(np.array([[70000]], np.int32)).save(tmp_path / "long.tif")
    for name in ("float.tif has float32", "long.tif has int32"):
        with pytest.raises(InputError, match=f"{name} pixels: save it with 8 or 16 bits"):
            read_image(tmp_path / name.partition(" ")[0])
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    for read in (read_image, image_size):
        with pytest.raises(InputError, match=r"whole\.png is too large .*4096 pixels.* exceeds"):
            read(whole)
