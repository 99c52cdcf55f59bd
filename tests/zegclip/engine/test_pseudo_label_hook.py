"""The log says which pixels self-training made up."""

from __future__ import annotations

import torch

from zegclip.engine.pseudo_label_hook import counts_line
from zegclip.vocabulary import Vocabulary

VOCABULARY = Vocabulary(("cat", "dog", "bus"), unseen=("bus", "dog"), setting="transductive")


def test_pixels_and_shares_by_unseen_class() -> None:
    line = counts_line(torch.tensor([0, 1500, 500]), VOCABULARY, "all_unlabelled")
    counts = "2,000: dog 1,500 (75.0 %), bus 500 (25.0 %)"
    assert line == f"pseudo-labelled pixels (all_unlabelled): {counts}"


def test_none_is_said() -> None:
    line = counts_line(torch.zeros(3, dtype=torch.long), VOCABULARY, "unseen_pixels")
    assert line == "pseudo-labelled pixels (unseen_pixels): none (unseen classes: dog, bus)"
