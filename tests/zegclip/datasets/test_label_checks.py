from __future__ import annotations

import numpy as np
import pytest

from zegclip.datasets.label_checks import check_label_map
from zegclip.errors import InputError


def label_with(*values: int, dtype: type = np.uint8) -> np.ndarray:
    """A 4x6 map of zeros that begins with the given values."""
    label = np.zeros((4, 6), dtype)
    label.flat[: len(values)] = values
    return label


@pytest.mark.parametrize("dtype", [np.uint8, np.int32])
def test_accepts_all_classes_and_ignored(dtype: type) -> None:
    check_label_map(label_with(0, 1, 2, 255, dtype=dtype), 3, "a.png", image_shape=(4, 6, 3))
    check_label_map(label_with(0, 1, 2, 3, 255, dtype=dtype), 3, "a.png", reduce_zero_label=True)


@pytest.mark.parametrize(
    ("values", "reduce_zero_label", "message"),
    [
        ((3, 3), False, r"a\.png: 2 pixels have the label 3, .*0\.\.2 .*reduce_zero_label=True"),
        ((9, 7, 9), False, r"a\.png: 3 pixels have the label 7, 9, but the 3 classes are 0\.\.2"),
        ((4,), True, r"a\.png: 1 pixels have the label 4, .*1\.\.3 \(0 and 255 are ignored\)"),
        ((254,), False, "254"),
    ],
)
def test_names_file_values_and_count(
    values: tuple[int, ...], reduce_zero_label: bool, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        check_label_map(label_with(*values), 3, "a.png", reduce_zero_label)


def test_16_bit_labels_are_not_folded_into_8_bits() -> None:
    with pytest.raises(InputError, match="label 257"):
        check_label_map(label_with(257, dtype=np.uint16), 3, "a.png")


def test_rgb_mask() -> None:
    mask = np.zeros((4, 6, 3), np.uint8)
    with pytest.raises(InputError, match=r"a\.png: 3 channels .*keep the first"):
        check_label_map(mask, 3, "a.png")
    mask[0, 0] = 128, 0, 0
    with pytest.raises(InputError, match=r"a\.png: 3 channels .*replace each colour by its class"):
        check_label_map(mask, 3, "a.png")


def test_size_of_the_image() -> None:
    with pytest.raises(InputError, match=r"a\.png: the label map is 6x4 .*its image 6x5"):
        check_label_map(label_with(), 3, "a.png", image_shape=(5, 6, 3))
    with pytest.raises(InputError, match="EXIF"):
        check_label_map(label_with(), 3, "a.png", image_shape=(6, 4))
