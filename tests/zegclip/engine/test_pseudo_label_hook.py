"""The log says which pixels self-training made up."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from zegclip.engine import PseudoLabelHook
from zegclip.engine.pseudo_label_hook import counts_line
from zegclip.segmentors.training_labels import PseudoLabelCounter
from zegclip.vocabulary import Vocabulary

VOCABULARY = Vocabulary(("cat", "dog", "bus"), unseen=("bus", "dog"), setting="transductive")


def test_pixels_and_shares_by_unseen_class() -> None:
    line = counts_line(torch.tensor([0, 1500, 500]), VOCABULARY, "all_unlabelled")
    counts = "2,000: dog 1,500 (75.0 %), bus 500 (25.0 %)"
    assert line == f"pseudo-labelled pixels (all_unlabelled): {counts}"


def test_none_is_said() -> None:
    line = counts_line(torch.zeros(3, dtype=torch.long), VOCABULARY, "unseen_pixels")
    assert line == "pseudo-labelled pixels (unseen_pixels): none (unseen classes: dog, bus)"


@pytest.mark.parametrize("setting", ["transductive", "inductive"])
def test_lines_count_from_the_last_one_on_and_the_last_iteration_has_one(setting: str) -> None:
    """Iteration i labels i pixels as dog and one as bus."""
    said: list[str] = []
    shares: list[tuple[Any, ...]] = []
    vocabulary = Vocabulary(("cat", "dog", "bus"), unseen=("bus", "dog"), setting=setting)
    model = SimpleNamespace(
        vocabulary=vocabulary,
        pseudo_labels="unseen_pixels",
        pseudo_labelled=PseudoLabelCounter(3),
    )
    runner: Any = SimpleNamespace(
        model=model,
        max_iters=5,
        logger=SimpleNamespace(info=said.append),
        visualizer=SimpleNamespace(add_scalar=lambda *scalar: shares.append(scalar)),
    )
    hook = PseudoLabelHook(interval=2)
    for runner.iter in range(5):
        labels = torch.tensor([[[1] * (runner.iter + 1) + [2, 0]]])
        model.pseudo_labelled.add(labels, labels > 0)
        hook.after_train_iter(runner, runner.iter)
    counts = [(3, 2), (7, 2), (5, 1)] if setting == "transductive" else []
    assert said == [
        counts_line(torch.tensor([0, dog, bus]), vocabulary, "unseen_pixels") for dog, bus in counts
    ]
    assert shares == [
        (f"pseudo_labelled/{name}", pytest.approx(100 * count / (dog + bus)), iteration)
        for (dog, bus), iteration in zip(counts, (2, 4, 5))
        for name, count in (("dog", dog), ("bus", bus))
    ]
