"""Sums over masks."""

from __future__ import annotations

import json

import numpy as np
import pytest

from zegclip.datasets.statistics import LabelStatistics, MaskCount, count_mask
from zegclip.vocabulary import Vocabulary

VOCABULARY = Vocabulary(("cat", "dog", "sofa", "tree"), unseen=("sofa", "tree"))


def mask(**pixels: int) -> MaskCount:
    counts = np.zeros(256, np.int64)
    for name, count in pixels.items():
        counts[255 if name == "ignored" else VOCABULARY.classes.index(name)] = count
    return MaskCount(counts)


def test_sums_by_hand() -> None:
    masks = [
        mask(cat=10, ignored=10),
        mask(cat=5, sofa=15),
        mask(sofa=20),
        MaskCount(np.zeros(256, np.int64), "z.png: broken"),
        MaskCount(np.zeros(256, np.int64), "a.png: broken"),
        mask(ignored=20),
    ]
    found = LabelStatistics.of(masks, VOCABULARY)
    assert found.masks == 4
    assert found.pixels.tolist() == [15, 0, 35, 0]
    assert found.images.tolist() == [2, 0, 2, 0]
    assert found.shares == {"seen": 15 / 80, "unseen": 35 / 80, "ignored": 30 / 80}
    assert found.images_with_unseen == 2
    assert found.images_without_seen == 2  # the sofa alone, and the one that is all ignored
    assert found.never == ["dog", "tree"]
    assert found.problems == ["a.png: broken", "z.png: broken"]
    plain = json.loads(json.dumps(found.as_json()))
    assert plain["classes"]["sofa"] == {"split": "unseen", "pixels": 35, "images": 2}
    assert plain["never"] == ["dog", "tree"] and plain["images_with_unseen"] == 2


def test_nothing_counted_has_shares_of_zero() -> None:
    assert set(LabelStatistics.of([], VOCABULARY).shares.values()) == {0.0}


@pytest.mark.parametrize("unseen", [(), ("sofa",)])
def test_without_unseen_classes_no_image_has_any(unseen: tuple[str, ...]) -> None:
    vocabulary = Vocabulary(VOCABULARY.classes, unseen=unseen, setting="supervised")
    found = LabelStatistics.of([mask(sofa=3)], vocabulary)
    assert found.images_with_unseen == len(unseen) == found.images_without_seen


def test_a_broken_mask_is_a_result() -> None:
    count = count_mask({"img_path": "nowhere.jpg", "seg_map_path": "x.png", "num_classes": 4})
    assert "nowhere.jpg" in count.problem and not count.counts.any()
