"""Run-length codes are pycocotools' own, both ways."""

from __future__ import annotations

import numpy as np
import pytest

from zegclip.datasets.rle import decode, encode

LARGE = np.zeros((200, 300), bool)  # runs of more than one group
LARGE[50:180, 20:290] = True


# Strings that pycocotools 2.0.11 wrote.
@pytest.mark.parametrize(
    ("mask", "code"),
    [
        (LARGE, "bn3R4V2" + "0" * 537 + "nl1"),
        (
            np.repeat(np.random.default_rng(0).random((8, 15)) < 0.5, 3, axis=0),
            "33630MM63MMM0000030M60J033309??AUOM093GJ030M0033M90G3M00M96GM",
        ),
        (np.zeros((2, 3), bool), "6"),
        (np.ones((2, 3), bool), "06"),
    ],
)
def test_codes_of_the_reference_implementation(mask: np.ndarray, code: str) -> None:
    assert encode(mask) == code
    assert np.array_equal(decode(code, *mask.shape), mask)


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_what_is_written_is_read_back(share: float) -> None:
    mask = np.random.default_rng(0).random((61, 47)) < share
    assert np.array_equal(decode(encode(mask), 61, 47), mask)


@pytest.mark.parametrize("code", ["04", "0T", "0 4", "0" + "o" * 9 + "0", "", "?5N"])
def test_codes_of_no_mask_are_refused(code: str) -> None:
    with pytest.raises(ValueError, match="run"):
        decode(code, 3, 3)
