"""What training may know of unseen classes, and that the map of them follows the labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from mmseg.registry import TRANSFORMS

from zegclip.datasets import HideUnseenLabels, PackZeroShotInputs
from zegclip.errors import InputError

SOFA = 17  # of VOC's 20 classes


def sample(path: str, **changes: Any) -> dict[str, Any]:
    """Results as a data set of 20 classes gives them."""
    return {
        "seg_map_path": path,
        "seg_fields": [],
        "num_classes": 20,
        "reduce_zero_label": True,
        "label_map": None,
        "setting": "inductive",
        "unseen_label_ids": [SOFA],
        **changes,
    }


class TestHideUnseenLabels:
    LABELS = np.array([[0, SOFA, 255], [SOFA, 3, SOFA]], np.uint8)
    UNSEEN = np.array([[0, 1, 0], [1, 0, 1]], np.uint8)

    def hide(self, setting: str, **options: Any) -> dict[str, Any]:
        results = sample("a.png", gt_seg_map=self.LABELS.copy(), setting=setting)
        results["seg_fields"] = ["gt_seg_map"]
        return HideUnseenLabels(**options)(results)

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
        self, setting: str, keep: bool, hidden: bool, mapped: bool
    ) -> None:
        results = self.hide(setting, keep_unseen_map=keep)
        expected = np.where(self.UNSEEN == 1, 255, self.LABELS) if hidden else self.LABELS
        np.testing.assert_array_equal(results["gt_seg_map"], expected)
        assert results["gt_seg_map"].dtype == np.uint8
        assert results["seg_fields"] == ["gt_seg_map", *["gt_unseen_map"] * mapped]
        if mapped:
            np.testing.assert_array_equal(results["gt_unseen_map"], self.UNSEEN)

    def test_unseen_map_follows_every_transform_of_the_labels(self) -> None:
        """The labels' copy with ids instead of 255 goes the same way and is compared."""
        rng = np.random.default_rng(0)
        labels = np.kron(
            rng.choice(np.array([0, 3, SOFA], np.uint8), (6, 8)), np.ones((20, 20), np.uint8)
        )
        pipeline = [
            dict(type="RandomResize", scale=(160, 120), ratio_range=(0.5, 2.0), keep_ratio=True),
            dict(type="FastRandomCrop", crop_size=(64, 64), cat_max_ratio=0.75),
            dict(type="RandomFlip", prob=0.5),
            dict(type="PackZeroShotInputs"),
        ]
        steps = [TRANSFORMS.build(step) for step in pipeline]
        np.random.seed(0)
        flips = set()
        for _ in range(8):
            results = sample("a.png", gt_seg_map=labels.copy(), setting="transductive")
            results |= {"img": np.zeros((*labels.shape, 3), np.uint8), "true": labels.copy()}
            results["seg_fields"] = ["gt_seg_map", "true"]
            results = HideUnseenLabels()(results)
            for step in steps[:-1]:
                results = step(results)
            flips.add(results["flip"])
            true = results["true"]
            packed = steps[-1](results)["data_samples"]
            unseen, label = packed.gt_unseen_map.data[0].numpy(), packed.gt_sem_seg.data[0].numpy()
            np.testing.assert_array_equal(unseen == 1, true == SOFA)
            np.testing.assert_array_equal(label, np.where(true == SOFA, 255, true))
        assert flips == {True, False}

    def test_crop_is_chosen_without_unseen_labels(self) -> None:
        """Fewer labels of unseen pixels never change which crop training sees."""
        rng = np.random.default_rng(1)
        labels = np.kron(
            rng.choice(np.array([0, 3, SOFA], np.uint8), (6, 6)), np.ones((20, 20), np.uint8)
        )
        image = rng.integers(0, 255, (120, 120, 3), np.uint8)
        crop = TRANSFORMS.build(dict(type="FastRandomCrop", crop_size=(60, 60), cat_max_ratio=0.6))

        def crops(gt_seg_map: np.ndarray, steps: list) -> list[np.ndarray]:
            np.random.seed(0)
            images = []
            for _ in range(10):
                results = sample("a.png", gt_seg_map=gt_seg_map.copy(), img=image)
                results["seg_fields"] = ["gt_seg_map"]
                for step in steps:
                    results = step(results)
                images.append(results["img"])
            return images

        without = np.where(labels == SOFA, 255, labels).astype(np.uint8)
        hide = HideUnseenLabels()
        assert all(map(np.array_equal, crops(labels, [hide, crop]), crops(without, [hide, crop])))
        late = crops(labels, [crop, hide]), crops(without, [crop, hide])
        assert not all(map(np.array_equal, *late))  # why the order matters

    def test_needs_our_data_set(self) -> None:
        with pytest.raises(InputError, match="unseen_label_ids"):
            HideUnseenLabels()({"gt_seg_map": self.LABELS, "setting": "inductive"})


class TestPackZeroShotInputs:
    def test_meta_keys_do_not_tell_the_split(self) -> None:
        results = sample("a.png", gt_seg_map=np.zeros((2, 2), np.uint8), img_path="a.jpg")
        packed = PackZeroShotInputs()(results)["data_samples"]
        assert set(packed.metainfo) == {"img_path", "seg_map_path", "reduce_zero_label"}
        assert "gt_unseen_map" not in packed

    def test_refuses_an_unseen_map_that_was_left_behind(self) -> None:
        results = sample("a.png", gt_seg_map=np.zeros((4, 4), np.uint8))
        results["gt_unseen_map"] = np.zeros((2, 2), np.uint8)
        with pytest.raises(InputError, match=r"a\.png: gt_unseen_map"):
            PackZeroShotInputs()(results)
