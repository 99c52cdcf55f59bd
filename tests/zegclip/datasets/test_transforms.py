from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mmseg.datasets.transforms import LoadAnnotations
from mmseg.registry import TRANSFORMS
from PIL import Image

from zegclip.datasets import HideUnseenLabels, LoadCheckedAnnotations, PackZeroShotInputs
from zegclip.errors import InputError

SOFA = 17  # of VOC's 20 classes
PHOTO = "2011_000006"  # chair, person, sofa


def sample(path: Path | str, **changes: Any) -> dict[str, Any]:
    """Results as a data set of 20 classes gives them."""
    return {
        "seg_map_path": str(path),
        "seg_fields": [],
        "num_classes": 20,
        "reduce_zero_label": True,
        "label_map": None,
        "setting": "inductive",
        "unseen_label_ids": [SOFA],
        **changes,
    }


def save(path: Path, values: Any, mode: str | None = None) -> Path:
    Image.fromarray(np.asarray(values), mode).save(path)
    return path


class TestLoadCheckedAnnotations:
    def test_palette_png_is_read_as_mmseg_reads_it(self, voc_root: str) -> None:
        file = f"{voc_root}/SegmentationClassAug/{PHOTO}.png"
        with Image.open(file) as image:
            assert image.mode == "P"
        ours = LoadCheckedAnnotations()(sample(file))
        theirs = LoadAnnotations()(sample(file))
        np.testing.assert_array_equal(ours["gt_seg_map"], theirs["gt_seg_map"])
        assert ours["gt_seg_map"].dtype == np.uint8 and ours["seg_fields"] == ["gt_seg_map"]
        assert set(np.unique(ours["gt_seg_map"])) == {8, 14, SOFA, 255}

    def test_selected_classes_as_mmseg(self, tmp_path: Path) -> None:
        file = save(tmp_path / "a.png", np.array([[0, 1, 2, 3, 255]] * 2, np.uint8))
        label_map = {0: 255, 1: 1, 2: 0}
        for reduce_zero_label in (True, False):
            changes = dict(label_map=label_map, reduce_zero_label=reduce_zero_label, num_classes=4)
            ours = LoadCheckedAnnotations()(sample(file, **changes))["gt_seg_map"]
            theirs = LoadAnnotations()(sample(file, **changes))["gt_seg_map"]
            np.testing.assert_array_equal(ours, theirs)
        assert ours.tolist() == [[255, 1, 0, 3, 255]] * 2

    def test_refuses_rgb_mask(self, tmp_path: Path, voc_root: str) -> None:
        with Image.open(f"{voc_root}/SegmentationClass/{PHOTO}.png") as mask:
            mask.convert("RGB").save(tmp_path / "colours.png")
        with pytest.raises(InputError, match=r"colours\.png: 3 channels"):
            LoadCheckedAnnotations()(sample(tmp_path / "colours.png"))

    def test_refuses_label_outside_the_classes(self, tmp_path: Path) -> None:
        file = save(tmp_path / "a.png", np.full((2, 2), 21, np.uint8))
        with pytest.raises(InputError, match=r"a\.png: 4 pixels have the label 21"):
            LoadCheckedAnnotations()(sample(file))

    def test_refuses_16_bit_label_that_mmseg_folds(self, tmp_path: Path) -> None:
        file = save(tmp_path / "a.png", np.full((2, 2), 258, np.uint16))
        assert LoadAnnotations()(sample(file))["gt_seg_map"][0, 0] == 1  # 258 % 256 - 1
        with pytest.raises(InputError, match=r"a\.png: 4 pixels have the label 258"):
            LoadCheckedAnnotations()(sample(file))

    def test_refuses_another_size_than_the_image(self, tmp_path: Path) -> None:
        file = save(tmp_path / "a.png", np.zeros((2, 3), np.uint8))
        with pytest.raises(InputError, match=r"a\.png: the label map is 3x2"):
            LoadCheckedAnnotations()(sample(file, ori_shape=(4, 6)))

    def test_refuses_broken_file(self, tmp_path: Path, voc_root: str) -> None:
        whole = Path(voc_root, "SegmentationClass", f"{PHOTO}.png").read_bytes()
        for name, content in (("cut.png", whole[:1000]), ("text.png", b"<html>")):
            (tmp_path / name).write_bytes(content)
            with pytest.raises(InputError, match=f"{name}: not a readable image"):
                LoadCheckedAnnotations()(sample(tmp_path / name))

    def test_photograph_without_label_passes(self) -> None:
        results = {"img": np.zeros((2, 2, 3))}
        assert LoadCheckedAnnotations()(results) is results

    def test_needs_our_data_set(self, tmp_path: Path) -> None:
        results = sample(tmp_path / "a.png")
        del results["num_classes"]
        with pytest.raises(KeyError, match="ZeroShotDataset"):
            LoadCheckedAnnotations()(results)


class TestHideUnseenLabels:
    LABELS = np.array([[0, SOFA, 255], [SOFA, 3, SOFA]], np.uint8)
    UNSEEN = np.array([[0, 1, 0], [1, 0, 1]], np.uint8)

    def hide(self, setting: str, **options: Any) -> dict[str, Any]:
        results = sample("a.png", gt_seg_map=self.LABELS.copy(), setting=setting)
        results["seg_fields"] = ["gt_seg_map"]
        return HideUnseenLabels(**options)(results)

    def test_inductive_leaves_no_trace_of_unseen(self) -> None:
        results = self.hide("inductive")
        assert results["gt_seg_map"].tolist() == [[0, 255, 255], [255, 3, 255]]
        assert "gt_unseen_map" not in results and results["seg_fields"] == ["gt_seg_map"]

    def test_inductive_keeps_the_map_on_request_only(self) -> None:
        results = self.hide("inductive", keep_unseen_map=True)
        assert SOFA not in results["gt_seg_map"]
        np.testing.assert_array_equal(results["gt_unseen_map"], self.UNSEEN)

    def test_transductive_tells_where_but_not_what(self) -> None:
        results = self.hide("transductive")
        assert results["gt_seg_map"].tolist() == [[0, 255, 255], [255, 3, 255]]
        np.testing.assert_array_equal(results["gt_unseen_map"], self.UNSEEN)
        assert results["seg_fields"] == ["gt_seg_map", "gt_unseen_map"]

    def test_supervised_changes_nothing(self) -> None:
        results = self.hide("supervised")
        np.testing.assert_array_equal(results["gt_seg_map"], self.LABELS)
        assert "gt_unseen_map" not in results

    def test_unseen_map_follows_every_transform_of_the_labels(self) -> None:
        """The labels' copy with ids instead of 255 goes the same way and is compared."""
        rng = np.random.default_rng(0)
        labels = np.kron(
            rng.choice(np.array([0, 3, SOFA], np.uint8), (6, 8)), np.ones((20, 20), np.uint8)
        )
        pipeline = [
            dict(type="RandomResize", scale=(160, 120), ratio_range=(0.5, 2.0), keep_ratio=True),
            dict(type="RandomCrop", crop_size=(64, 64), cat_max_ratio=0.75),
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
        crop = TRANSFORMS.build(dict(type="RandomCrop", crop_size=(60, 60), cat_max_ratio=0.6))

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
        with pytest.raises(KeyError, match="unseen_label_ids"):
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
