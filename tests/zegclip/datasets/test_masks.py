"""Masks are read as numbers, and what would be misread is refused with the file's name."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mmseg.datasets.transforms import LoadAnnotations
from PIL import Image

from zegclip.datasets import LoadCheckedAnnotations, check_mask, read_mask
from zegclip.datasets.images import image_size
from zegclip.errors import InputError


def save(path: Path, values: Any, dtype: type = np.uint8) -> Path:
    Image.fromarray(np.asarray(values, dtype)).save(path)
    return path


def test_numbers_of_palette_grey_and_16_bit_files(tmp_path: Path) -> None:
    for dtype in (np.uint8, np.uint16):
        file = save(tmp_path / "a.png", [[0, 2, 255]], dtype)
        assert read_mask(file).tolist() == [[0, 2, 255]]
    picture = Image.new("P", (2, 1))
    picture.putpalette([9, 9, 9, 200, 0, 0])
    picture.putdata([0, 1])
    picture.save(tmp_path / "p.png")
    Image.new("1", (2, 1), 1).save(tmp_path / "w.png")
    assert read_mask(tmp_path / "p.png").tolist() == [[0, 1]]
    assert read_mask(tmp_path / "w.png").tolist() == [[1, 1]]


def grey_png(bits: int, row: bytes, width: int) -> bytes:
    """A grey PNG of one row with its bits as they are, which Pillow does not write."""

    def chunk(name: bytes, content: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + crc

    header = struct.pack(">IIBBBBB", width, 1, bits, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" + row))
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("bits", "row", "numbers"),
    [
        (1, bytes([0b01010000]), [0, 1, 0, 1]),
        (2, bytes([0b00011011]), [0, 1, 2, 3]),
        (4, bytes([0x01, 0x2F]), [0, 1, 2, 15]),
    ],
)
def test_greys_of_few_bits_are_not_stretched(
    tmp_path: Path, bits: int, row: bytes, numbers: list[int]
) -> None:
    (tmp_path / "grey.png").write_bytes(grey_png(bits, row, 4))
    assert read_mask(tmp_path / "grey.png").tolist() == [numbers]


def test_files_that_are_no_mask(tmp_path: Path) -> None:
    for mode in ("RGB", "RGBA", "LA"):
        Image.new(mode, (2, 1)).save(tmp_path / "a.png")
        with pytest.raises(InputError, match=rf"a\.png: several channels \({mode}\).*Replace each"):
            read_mask(tmp_path / "a.png")
    whole = save(tmp_path / "a.png", np.random.default_rng(0).integers(0, 9, (99, 99)))
    (tmp_path / "cut.png").write_bytes(whole.read_bytes()[:1000])
    (tmp_path / "text.png").write_bytes(b"<html>")
    for name in ("cut.png", "text.png", "nowhere.png"):
        with pytest.raises(InputError, match=rf"{name}: not a readable image"):
            read_mask(tmp_path / name)
    with pytest.raises(InputError, match=r"f\.tif: float32 values"):
        read_mask(save(tmp_path / "f.tif", np.zeros((2, 2)), np.float32))
    for mode in ("1", "L"):
        Image.new(mode, (2, 1)).save(tmp_path / "i.tif", tiffinfo={262: 0})
        with pytest.raises(InputError, match=r"i\.tif: its numbers are inverted"):
            read_mask(tmp_path / "i.tif")
    Image.new("1", (14000, 14000)).save(tmp_path / "huge.png")
    with pytest.raises(InputError, match=r"huge\.png is too large \(Image size \(196000000"):
        read_mask(tmp_path / "huge.png")


def test_all_classes_and_ignored_are_fine() -> None:
    for dtype in (np.uint8, np.int32):
        check_mask(np.array([[0, 1, 2, 255]], dtype), "a.png", 3, image_size=(1, 4))
        check_mask(np.array([[0, 1, 3, 255]], dtype), "a.png", 3, zero_ignored=True)


@pytest.mark.parametrize(
    ("values", "zero_ignored", "message"),
    [
        ([3, 3], False, r"a\.png: 2 pixels have the label 3, .* 0\.\.2 .*reduce_zero_label=True"),
        ([9, 7, 9], False, r"a\.png: 3 pixels have the label 7, 9, but the 3 classes are 0\.\.2"),
        ([4], True, r"a\.png: 1 pixels have the label 4, .* 1\.\.3 \(0 and 255 are ignored\)"),
        ([-1, 254], False, "label -1, 254, .*Another class list"),
        ([257], False, "label 257"),  # not folded into 8 bits
    ],
)
def test_values_outside_the_classes(values: list[int], zero_ignored: bool, message: str) -> None:
    for dtype in (np.int32, np.uint16, np.uint8):
        if np.iinfo(dtype).min <= min(values) and max(values) <= np.iinfo(dtype).max:
            with pytest.raises(InputError, match=message):
                check_mask(np.array([values], dtype), "a.png", 3, zero_ignored)


def test_size_of_the_image_as_it_is_shown(tmp_path: Path) -> None:
    turned = r"its image 4x6 \(turned by its EXIF.*; turn the mask as the photograph is shown"
    for size, message in (((5, 6), "its image 6x5; scale labels with nearest"), ((6, 4), turned)):
        with pytest.raises(InputError, match=rf"a\.png: the mask is 6x4 .*{message}"):
            check_mask(np.zeros((4, 6), np.uint8), "a.png", 3, image_size=size)
        # Scaling would squeeze it.
    with pytest.raises(InputError, match=r"^((?!scale).)*$"):
        check_mask(np.zeros((4, 6), np.uint8), "a.png", 3, image_size=(6, 4))
    for orientation, shown in ((1, (4, 6)), (3, (4, 6)), (6, (6, 4)), (8, (6, 4))):
        exif = Image.Exif()
        exif[274] = orientation
        Image.new("RGB", (6, 4)).save(tmp_path / "a.jpg", exif=exif)
        assert image_size(tmp_path / "a.jpg") == shown


@pytest.mark.parametrize("label_map", [None, {0: 255, 1: 1, 2: 0, 3: 255}])
@pytest.mark.parametrize("zero_ignored", [True, False])
def test_labels_are_mmsegs(tmp_path: Path, label_map: dict | None, zero_ignored: bool) -> None:
    sample: dict[str, Any] = {
        "seg_map_path": str(save(tmp_path / "a.png", [[0, 1, 2, 3, 255]] * 2)),
        "num_classes": 4,
        "reduce_zero_label": zero_ignored,
        "label_map": label_map,
    }
    theirs = LoadAnnotations()({**sample, "seg_fields": []})["gt_seg_map"]
    ours = LoadCheckedAnnotations()({**sample, "seg_fields": [], "ori_shape": (2, 5)})
    assert ours["gt_seg_map"].dtype == np.uint8 and ours["seg_fields"] == ["gt_seg_map"]
    np.testing.assert_array_equal(ours["gt_seg_map"], theirs)
    with pytest.raises(InputError, match=r"a\.png: the mask is 5x2"):
        LoadCheckedAnnotations()({**sample, "seg_fields": [], "ori_shape": (4, 6, 3)})


def test_loading_needs_our_data_set_and_lets_photographs_pass() -> None:
    results = {"img": np.zeros((2, 2, 3))}
    assert LoadCheckedAnnotations()(results) is results
    with pytest.raises(InputError, match="num_classes.*ZeroShotDataset"):
        LoadCheckedAnnotations()({"seg_map_path": "a.png", "seg_fields": []})
