"""The head of CLIP without training."""

from __future__ import annotations

from typing import ClassVar

import torch

from tests.heads.base import HeadTester, unit
from zegclip.heads import TrainingFreeHead


class TestTrainingFreeHead(HeadTester):
    head: ClassVar = {"type": "TrainingFreeHead"}


def test_probabilities_are_shares_of_scaled_cosines() -> None:
    patches, words = unit(2, 32, 3, 4, dim=1), unit(5, 32, seed=1)
    head = TrainingFreeHead(32, scale=40.0)
    found = head.predict(head(patches, unit(2, 32), words)).probabilities
    for y, x in ((0, 0), (2, 3)):
        expected = torch.softmax(40 * words @ patches[1, :, y, x], dim=0)
        torch.testing.assert_close(found[1, :, y, x], expected)
    assert not list(head.parameters()) and not head.learns
    assert head.protocol(inductive=False)["scale"] == 40  # reported scores depend on it
