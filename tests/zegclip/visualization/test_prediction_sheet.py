"""Sheets of predictions of a data set."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.zegclip.visualization.fakes import GREY, FakeDataset, FakeModel
from zegclip.visualization import prediction_sheet


def test_sheet_has_a_trusty_map_where_there_is_one(tmp_path: Path) -> None:
    dataset = FakeDataset(tmp_path, [[2, 255], [0, 1]])
    plain = prediction_sheet(FakeModel(), dataset, [0, 1], panel_height=80)
    with_trust = prediction_sheet(FakeModel(trust=0.5), dataset, [0, 1], panel_height=80)
    assert with_trust.width - plain.width >= 160  # one column of pictures twice as wide as high
    # What the ground truth ignores stays bare in the prediction, what it labels is coloured.
    pixels = np.asarray(plain)
    assert (pixels == GREY).all(-1).sum() > 2 * 80 * 160
    blue = (pixels[..., 2] > 120) & (pixels[..., 0] < 60)
    assert blue.sum() > 0
