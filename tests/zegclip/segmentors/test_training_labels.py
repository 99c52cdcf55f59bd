"""Which labels reach the model, which are refused, and which it makes itself.

Against the published pseudo-labels, tools/check_reference.py compares them.
"""

from __future__ import annotations

import pytest
import torch
from mmseg.structures import SegDataSample

from zegclip.errors import InputError
from zegclip.segmentors.training_labels import PseudoLabelCounter, QueryLabels, pseudo_label
from zegclip.vocabulary import IGNORE_INDEX, Vocabulary

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
    labels = torch.tensor([[[0, 1 if setting == "supervised" else 255, 2, 3, 255]]])
    assert torch.equal(QueryLabels(vocabulary)(labels, [sample()]), labels)


@pytest.mark.parametrize("setting", ["inductive", "transductive"])
def test_an_unseen_label_is_refused_by_name(setting: str) -> None:
    query_labels = QueryLabels(Vocabulary(CLASSES, unseen=("dog",), setting=setting))
    with pytest.raises(InputError, match=r"masks/7\.png: label 1 is the unseen class 'dog'"):
        query_labels(torch.tensor([[[0]], [[1]]]), [SegDataSample(), sample()])


@pytest.mark.parametrize("label", [4, 254, 300, -1])
def test_a_label_outside_the_classes_is_refused(label: int) -> None:
    query_labels = QueryLabels(Vocabulary(CLASSES, unseen=("dog",)))
    with pytest.raises(ValueError, match=rf"masks/7\.png: label {label} is outside the 4 classes"):
        query_labels(torch.tensor([[[0, label]]]), [sample()])


def test_more_classes_than_labels_can_tell_apart_are_refused() -> None:
    vocabulary = Vocabulary(tuple(f"class {i}" for i in range(300)), unseen=("class 0",))
    with pytest.raises(InputError, match="300 classes cannot be trained: label 255 means ignored"):
        QueryLabels(vocabulary)(torch.tensor([[[1, 255]]]), [sample()])


def test_pseudo_labels_are_for_unseen_pixels_and_of_unseen_classes() -> None:
    labels = torch.tensor([[[0, IGNORE_INDEX, IGNORE_INDEX, IGNORE_INDEX]]])
    unseen_map = torch.tensor([[[False, True, True, False]]])
    logits = torch.tensor([1.0, 2.0])[None, :, None, None].repeat(1, 1, 1, 4).requires_grad_()
    with torch.no_grad():
        logits[0, 0, 0, 2] = 3.0
    found = pseudo_label(labels, unseen_map, logits, unseen_ids=torch.tensor([1, 2]))
    assert found.tolist() == [[[0, 2, 1, IGNORE_INDEX]]]
    assert not found.requires_grad


def test_counter_counts_what_was_pseudo_labelled_and_starts_again() -> None:
    counter = PseudoLabelCounter(num_classes=3)
    labels = torch.tensor([[[0, 2, 1, IGNORE_INDEX], [2, 2, 0, 1]]])
    unseen_map = torch.tensor([[[False, True, True, False], [True, True, False, False]]])
    counter.add(labels, unseen_map)
    counter.add(labels, unseen_map)
    assert counter.take().tolist() == [0, 2, 6]
    assert counter.take().tolist() == [0, 0, 0]
