"""Class lists and splits of COCO-Stuff, PASCAL Context and ADE20K, against the papers' counts."""

from __future__ import annotations

import pytest

from zegclip.datasets import (
    ADE150Dataset,
    COCOStuff171Dataset,
    Context59Dataset,
    Context60Dataset,
    VOC20Dataset,
    VOC21Dataset,
    Vocabulary,
    ZeroShotDataset,
)


@pytest.mark.parametrize(
    ("dataset", "classes", "unseen"),
    [
        (VOC20Dataset, 20, 5),
        (VOC21Dataset, 21, 5),
        (COCOStuff171Dataset, 171, 15),
        (Context59Dataset, 59, 10),
        (Context60Dataset, 60, 10),
        (ADE150Dataset, 150, 0),
    ],
)
def test_split_fits_the_classes(dataset: type[ZeroShotDataset], classes: int, unseen: int) -> None:
    vocabulary = Vocabulary.from_metainfo(dataset.METAINFO)
    assert len(vocabulary.classes) == classes and len(vocabulary.unseen) == unseen
    assert vocabulary.palette is not None
    assert str(classes) in dataset.METAINFO["dataset_name"]
    assert all(name == name.strip() for name in vocabulary.classes)


def test_label_ids_of_the_splits() -> None:
    """Some by hand, in the order of mmseg's masks."""
    coco = Vocabulary.from_metainfo(COCOStuff171Dataset.METAINFO)
    assert [coco.classes[index] for index in (0, 19, 79, 170)] == [
        "person", "cow", "toothbrush", "wood",
    ]  # fmt: skip
    assert coco.unseen_ids[:3] == (19, 23, 28) and coco.classes[coco.unseen_ids[-1]] == (
        "wall-concrete"
    )
    # The published index list of a work that shares this order.
    context = Vocabulary.from_metainfo(Context59Dataset.METAINFO)
    assert set(context.unseen_ids) == {19, 33, 48, 14, 7, 24, 6, 54, 31, 0}


@pytest.mark.parametrize("dataset", [VOC21Dataset, Context60Dataset])
def test_background_is_a_seen_class(dataset: type[ZeroShotDataset]) -> None:
    vocabulary = Vocabulary.from_metainfo(dataset.METAINFO)
    assert vocabulary.classes[0] == "background" and "background" in vocabulary.seen
    without = dataset.__mro__[1]
    assert vocabulary.classes[1:] == without.METAINFO["classes"]
    assert "is a class" in dataset.METAINFO["ignore_rule"]
    assert "ignored" in without.METAINFO["ignore_rule"]
