"""Sums over masks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from zegclip.datasets.statistics import count_mask, label_statistics
from zegclip.vocabulary import Vocabulary

CLASSES = ("cat", "dog", "sofa", "tree")


def mask(**pixels: int) -> np.ndarray:
    counts = np.zeros(256, np.int32)
    for name, count in pixels.items():
        counts[255 if name == "ignored" else CLASSES.index(name)] = count
    return counts


def test_sums_by_hand() -> None:
    vocabulary = Vocabulary(CLASSES, unseen=("sofa", "tree"))
    masks = [
        mask(cat=10, ignored=10),
        mask(cat=5, sofa=15),
        mask(sofa=20),
        "z.png: broken",
        "a.png: broken",
        mask(ignored=20),
    ]
    found = json.loads(json.dumps(label_statistics(masks, vocabulary)))
    assert found["masks"] == 4 and found["problems"] == ["a.png: broken", "z.png: broken"]
    assert [entry["pixels"] for entry in found["classes"].values()] == [15, 0, 35, 0]
    assert found["classes"]["sofa"] == {"split": "unseen", "pixels": 35, "images": 2}
    assert found["shares"] == {"seen": 15 / 80, "unseen": 35 / 80, "ignored": 30 / 80}
    assert found["images_with_unseen"] == 2
    assert found["images_without_seen"] == 2  # the sofa alone, and the one that is all ignored
    assert found["never"] == ["dog", "tree"]
    # Nothing counted, and nothing unseen.
    assert set(label_statistics([], vocabulary)["shares"].values()) == {0.0}
    supervised = Vocabulary(CLASSES, setting="supervised")
    assert label_statistics(masks, supervised)["images_with_unseen"] == 0


def test_a_mask_is_counted_as_its_file_has_it_and_a_broken_one_is_a_result(tmp_path: Path) -> None:
    for name, size in (("a", (4, 1)), ("b", (3, 1))):
        Image.new("RGB", size).save(tmp_path / f"{name}.jpg")
    Image.fromarray(np.array([[0, 3, 3, 255]], np.uint8)).save(tmp_path / "m.png")
    sample = {"seg_map_path": str(tmp_path / "m.png"), "num_classes": 3, "reduce_zero_label": True}
    counts = count_mask({**sample, "img_path": str(tmp_path / "a.jpg")})
    assert not isinstance(counts, str) and (counts[2], counts[255], counts.sum()) == (2, 2, 4)
    assert "the mask is 4x1" in count_mask({**sample, "img_path": str(tmp_path / "b.jpg")})
    assert "nowhere.jpg" in count_mask({**sample, "img_path": "nowhere.jpg"})
