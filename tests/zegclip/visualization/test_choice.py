"""Which images are drawn."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.zegclip.visualization.fakes import FakeDataset
from zegclip.errors import InputError
from zegclip.visualization import image_names, images_named, images_with


def test_images_with_most_of_the_wanted_classes_come_first(tmp_path: Path) -> None:
    dataset = FakeDataset(tmp_path, [[0, 1], [2, 255], [2, 0], [1, 255]])
    assert images_with(dataset, 1) == [2]  # the unseen sofa, beside a seen cat
    assert images_with(dataset, 2) == [1, 2]
    assert images_with(dataset, 1, ["bus", "cat"]) == [0]
    assert images_with(dataset, 1, ["sofa"], among=1) == [0]


def test_images_by_name(tmp_path: Path) -> None:
    dataset = FakeDataset(tmp_path, [[0], [1]])
    assert image_names(dataset) == ["photo_0", "photo_1"]
    assert images_named(dataset, ["photo_1", "photo_0"]) == [1, 0]
    with pytest.raises(InputError, match=r"'foto_1' among the 2 of stripes.*photo_1"):
        images_named(dataset, ["foto_1"])
