"""The scenes through the data set code of VOC."""

from __future__ import annotations

import numpy as np
import pytest
from mmcv.transforms import LoadImageFromFile
from mmseg.datasets.transforms import LoadAnnotations
from mmseg.registry import DATASETS

import zegclip  # noqa: F401
from zegclip.datasets.mini import MiniSceneDataset
from zegclip.datasets.mini.scenes import make_scene
from zegclip.datasets.voc import VOC20Dataset


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("mini") / "scenes"


def build(root, split, **kwargs):
    return DATASETS.build(
        dict(
            type=MiniSceneDataset,
            data_root=str(root),
            num_train=5,
            num_val=3,
            ann_file=f"ImageSets/Segmentation/{split}.txt",
            data_prefix=dict(img_path="JPEGImages", seg_map_path="SegmentationClassAug"),
            pipeline=[
                dict(type=LoadImageFromFile),
                dict(type=LoadAnnotations),
            ],
            **kwargs,
        )
    )


def test_scenes_appear_on_first_use_and_are_voc(root):
    train, val = build(root, "train"), build(root, "val", test_mode=True)
    assert isinstance(train, VOC20Dataset)
    assert (len(train), len(val)) == (5, 3)
    assert train.metainfo["classes"] == VOC20Dataset.METAINFO["classes"]
    assert tuple(train.metainfo["unseen"]) == VOC20Dataset.METAINFO["unseen"]
    assert "mini" in train.metainfo["dataset_name"]


def test_labels_are_the_scenes_without_background(root):
    sample = build(root, "train")[2]
    _, labels = make_scene("train", 2)
    expected = np.where(labels == 0, 255, labels - 1)
    assert np.array_equal(sample["gt_seg_map"], expected)
    assert sample["img"].shape == (96, 96, 3)


def test_three_line_split(root):
    assert tuple(build(root, "train", unseen=["cat"]).metainfo["unseen"]) == ("cat",)


def test_default_place_is_the_repository():
    assert MiniSceneDataset.__init__.__defaults__[0] is None
    from zegclip.datasets.mini.scenes import PROJECT_ROOT, SCENES

    assert SCENES == PROJECT_ROOT / "data/mini/scenes"
