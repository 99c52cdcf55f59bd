"""Pseudo-labels by hand; against the published code's, tools/check_reference.py compares them."""

from __future__ import annotations

import torch

from zegclip.segmentors.pseudo_labels import PseudoLabelCounter, pseudo_label

IGNORED = 255


def test_only_unseen_pixels_and_only_unseen_classes() -> None:
    labels = torch.tensor([[[0, IGNORED, IGNORED, IGNORED]]])
    unseen_map = torch.tensor([[[False, True, True, False]]])
    logits = torch.tensor([1.0, 2.0])[None, :, None, None].repeat(1, 1, 1, 4)
    logits[0, 0, 0, 2] = 3.0
    found = pseudo_label(labels, unseen_map, logits, unseen_ids=torch.tensor([1, 2]))
    assert found.tolist() == [[[0, 2, 1, IGNORED]]]


def test_no_gradient_flows_into_the_labels() -> None:
    logits = torch.randn(1, 1, 2, 2, requires_grad=True)
    labels = torch.full((1, 2, 2), IGNORED)
    assert not pseudo_label(labels, labels > 0, logits, torch.tensor([1])).requires_grad


def test_counter_counts_what_was_pseudo_labelled_and_starts_again() -> None:
    counter = PseudoLabelCounter(num_classes=3)
    labels = torch.tensor([[[0, 2, 1, IGNORED], [2, 2, 0, 1]]])
    unseen_map = torch.tensor([[[False, True, True, False], [True, True, False, False]]])
    counter.add(labels, unseen_map)
    counter.add(labels, unseen_map)
    assert counter.take().tolist() == [0, 2, 6]
    assert counter.take().tolist() == [0, 0, 0]
