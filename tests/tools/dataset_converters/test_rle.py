"""COCO's run-length code, against strings that pycocotools 2.0.11 wrote."""

from __future__ import annotations

import numpy as np
import pytest
from dataset_converters.rle import decode


def test_strings_of_the_reference_implementation() -> None:
    mask = np.zeros((7, 9), bool)
    mask[2:6, 3:8] = True
    mask[0, 0] = True
    assert np.array_equal(decode("01f03]O00000005", 7, 9), mask)
    mask = np.zeros((200, 300), bool)  # runs of more than one group
    mask[50:180, 20:290] = True
    assert np.array_equal(decode("bn3R4V2" + "0" * 537 + "nl1", 200, 300), mask)
    mask = np.repeat(np.random.default_rng(0).random((8, 15)) < 0.5, 3, axis=0)
    code = "33630MM63MMM0000030M60J033309??AUOM093GJ030M0033M90G3M00M96GM"
    assert np.array_equal(decode(code, 24, 15), mask)


@pytest.mark.parametrize("code", ["04", "0T", "0 4", "0" + "o" * 9 + "0", "", "?5N"])
def test_what_is_no_mask_is_refused(code: str) -> None:
    with pytest.raises(ValueError, match="run"):
        decode(code, 3, 3)
