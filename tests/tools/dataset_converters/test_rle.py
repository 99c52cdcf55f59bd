"""COCO's run-length code, against strings that pycocotools 2.0.11 wrote."""

from __future__ import annotations

import numpy as np
import pytest
from dataset_converters.rle import decode, decode_counts
from tests.dataset_converters.official import run_lengths


def test_a_string_of_the_reference_implementation() -> None:
    mask = np.zeros((7, 9), bool)
    mask[2:6, 3:8] = True
    mask[0, 0] = True
    assert np.array_equal(decode("01f03]O00000005", 7, 9), mask)


def test_runs_of_more_than_one_group() -> None:
    # Column 20 begins at 20 * 200 + 50; 130 ones, then 70 zeros between the columns.
    counts = decode_counts("bn3R4V2" + "0" * 536)
    assert counts[:4].tolist() == [4050, 130, 70, 130]
    mask = np.zeros((200, 300), bool)
    mask[50:180, 20:290] = True
    assert np.array_equal(decode(str(run_lengths(mask)["counts"]), 200, 300), mask)


def test_random_masks_survive() -> None:
    rng = np.random.default_rng(0)
    for _ in range(30):
        height, width = rng.integers(1, 60, 2)
        mask = np.repeat(rng.random((height, width)) < rng.random(), 3, axis=0)
        assert np.array_equal(decode(str(run_lengths(mask)["counts"]), 3 * height, width), mask)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("04", "add up to 4"),
        ("0T", "ends within a number"),
        ("0 4", "cannot have"),
        ("0" + "o" * 9 + "0", "too large"),
        ("", "add up to 0"),
        ("?5N", "add up to"),
    ],
)
def test_what_is_no_mask_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        decode(text, 3, 3)
