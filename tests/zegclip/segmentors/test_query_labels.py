"""Which labels reach the model, and which are refused."""

from __future__ import annotations

import pytest
import torch
from mmseg.structures import SegDataSample

from zegclip.errors import InputError
from zegclip.segmentors.query_labels import QueryLabels
from zegclip.vocabulary import Vocabulary

CLASSES = ("cat", "dog", "bus", "sofa")


def sample() -> SegDataSample:
    return SegDataSample(metainfo={"seg_map_path": "masks/7.png"})


def test_seen_labels_become_query_indices() -> None:
    vocabulary = Vocabulary(CLASSES, unseen=("dog",))
    labels = torch.tensor([[[0, 2, 3, 255]]])
    assert QueryLabels(vocabulary)(labels, [sample()]).tolist() == [[[0, 1, 2, 255]]]


@pytest.mark.parametrize("setting", ["transductive", "supervised"])
def test_elsewhere_all_classes_are_queries(setting: str) -> None:
    vocabulary = Vocabulary(CLASSES, unseen=("dog",), setting=setting)
    labels = torch.tensor([[[0, 1, 2, 3, 255]]])
    assert torch.equal(QueryLabels(vocabulary)(labels, [sample()]), labels)


def test_an_unseen_label_is_refused_by_name() -> None:
    query_labels = QueryLabels(Vocabulary(CLASSES, unseen=("dog",)))
    with pytest.raises(InputError, match=r"masks/7\.png: label 1 is the unseen class 'dog'"):
        query_labels(torch.tensor([[[0]], [[1]]]), [SegDataSample(), sample()])


@pytest.mark.parametrize("label", [4, 254, 300, -1])
def test_a_label_outside_the_classes_is_refused(label: int) -> None:
    query_labels = QueryLabels(Vocabulary(CLASSES, unseen=("dog",)))
    with pytest.raises(ValueError, match=rf"masks/7\.png: label {label} is outside the 4 classes"):
        query_labels(torch.tensor([[[0, label]]]), [sample()])


def test_more_classes_than_one_byte_holds() -> None:
    vocabulary = Vocabulary(tuple(f"class {i}" for i in range(300)), unseen=("class 0",))
    labels = torch.tensor([[[1, 256, 299, 255]]])
    # 255 stays the ignored label, also where there are more classes.
    assert QueryLabels(vocabulary)(labels, [sample()]).tolist() == [[[0, 255, 298, 255]]]
