"""What training may know of unseen classes, and that the map of them follows the labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from mmseg.registry import TRANSFORMS

from zegclip.datasets import HideUnseenLabels, PackZeroShotInputs
from zegclip.errors import InputError

SOFA = 17  # of VOC's 20 classes, unseen


def sample(labels: np.ndarray, **changes: Any) -> dict[str, Any]:
    """Results as loading gives them."""
    results = {"seg_map_path": "a.png", "gt_seg_map": labels.copy(), "seg_fields": ["gt_seg_map"]}
    return results | {"setting": "inductive", "unseen_label_ids": [SOFA], **changes}


def blocks(seed: int) -> np.ndarray:
    """(120, 160) labels in blocks of 20 pixels: two seen classes and the unseen one."""
    values = np.random.default_rng(seed).choice(np.array([0, 3, SOFA], np.uint8), (6, 8))
    return np.kron(values, np.ones((20, 20), np.uint8))


@pytest.mark.parametrize(
    ("setting", "keep", "hidden", "mapped"),
    [
        ("inductive", False, True, False),  # no trace of unseen
        ("inductive", True, True, True),
        ("cross_dataset", False, True, False),
        ("transductive", False, True, True),  # where, but not what
        ("supervised", False, False, False),
    ],
)
def test_what_is_hidden_and_what_is_told(
    setting: str, keep: bool, hidden: bool, mapped: bool
) -> None:
    labels = np.array([[0, SOFA, 255], [SOFA, 3, SOFA]], np.uint8)
    results = HideUnseenLabels(keep_unseen_map=keep)(sample(labels, setting=setting))
    expected = np.where(labels == SOFA, 255, labels) if hidden else labels
    np.testing.assert_array_equal(results["gt_seg_map"], expected)
    assert results["gt_seg_map"].dtype == np.uint8
    assert results["seg_fields"] == ["gt_seg_map", *["gt_unseen_map"] * mapped]
    if mapped:
        np.testing.assert_array_equal(results["gt_unseen_map"], labels == SOFA)


def test_unseen_map_follows_every_transform_of_the_labels() -> None:
    """The labels' copy with ids instead of 255 goes the same way and is compared."""
    labels, flips = blocks(0), set()
    pipeline = [
        dict(type="RandomResize", scale=(160, 120), ratio_range=(0.5, 2.0), keep_ratio=True),
        dict(type="FastRandomCrop", crop_size=(64, 64), cat_max_ratio=0.75),
        dict(type="RandomFlip", prob=0.5),
    ]
    steps = [HideUnseenLabels(), *map(TRANSFORMS.build, pipeline)]
    np.random.seed(0)
    for _ in range(8):
        results = sample(labels, setting="transductive", true=labels.copy())
        results |= {"img": np.zeros((*labels.shape, 3), np.uint8)}
        results["seg_fields"].append("true")
        for step in steps:
            results = step(results)
        flips.add(results["flip"])
        packed = PackZeroShotInputs()(results)["data_samples"]
        unseen, label = packed.gt_unseen_map.data[0].numpy(), packed.gt_sem_seg.data[0].numpy()
        np.testing.assert_array_equal(unseen == 1, results["true"] == SOFA)
        np.testing.assert_array_equal(label, np.where(unseen, 255, results["true"]))
    assert flips == {True, False}


def test_a_transform_that_turns_the_labels_alone_is_refused() -> None:
    """As Albumentations does, which mmseg tells of the image and the labels."""
    labels = np.array([[0, 1, SOFA], [3, 1, 0]], np.uint8)
    for setting, refused in (("transductive", True), ("supervised", False)):
        results = HideUnseenLabels(keep_unseen_map=True)(sample(labels, setting=setting))
        results |= {"img": np.zeros((2, 3, 3), np.uint8), "seg_map_path": "sofa.png"}
        results["gt_seg_map"] = results["gt_seg_map"][:, ::-1]
        if refused:
            with pytest.raises(InputError, match="sofa.png: gt_unseen_map marks pixels"):
                PackZeroShotInputs()(results)
        else:
            PackZeroShotInputs()(results)


def test_crop_is_chosen_without_unseen_labels() -> None:
    """Fewer labels of unseen pixels never change which crop training sees."""
    labels = blocks(1)
    image = np.random.default_rng(1).integers(0, 255, (*labels.shape, 3), np.uint8)
    crop = TRANSFORMS.build(dict(type="FastRandomCrop", crop_size=(60, 60), cat_max_ratio=0.6))
    hide = HideUnseenLabels()

    def crops(gt_seg_map: np.ndarray, first: Any, second: Any) -> list[bytes]:
        np.random.seed(0)
        samples = [second(first(sample(gt_seg_map, img=image))) for _ in range(10)]
        return [each["img"].tobytes() for each in samples]

    without = np.where(labels == SOFA, np.uint8(255), labels)
    assert crops(labels, hide, crop) == crops(without, hide, crop)
    assert crops(labels, crop, hide) != crops(without, crop, hide)  # why the order matters


def test_what_is_packed_does_not_tell_the_split() -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    results = sample(np.zeros((4, 4), np.uint8), img=image, img_path="a.jpg")
    packed = PackZeroShotInputs()(results)["data_samples"]
    assert set(packed.metainfo) == {"img_path", "seg_map_path"} and "gt_unseen_map" not in packed
    with pytest.raises(InputError, match=r"a\.png: gt_unseen_map"):
        PackZeroShotInputs()(results | {"gt_unseen_map": np.zeros((2, 2), np.uint8)})
