"""Whatever is given: route attention, losses, vocabulary and metric are their plain definitions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.ldvc.test_route_attention import build, slow, tokens_of
from tests.zegclip.losses.test_mask_loss import plain
from zegclip.errors import InputError
from zegclip.evaluation import ZeroShotIoUMetric
from zegclip.losses import focal_dice_loss, present_classes
from zegclip.vocabulary import IGNORE_INDEX, Vocabulary, name_key

pytest.importorskip("hypothesis", reason="needs hypothesis: pip install hypothesis")
from hypothesis import assume, given, settings
from hypothesis import strategies as st

SIDES = st.integers(1, 7)
NAMES = st.text("aAbB ß-", min_size=1, max_size=4)
settings.register_profile("ours", deadline=None, derandomize=True, print_blob=False)
settings.load_profile("ours")


@settings(max_examples=40)
@given(grid=st.tuples(SIDES, SIDES), p=st.integers(1, 4), data=st.data())
def test_route_attention(grid: tuple[int, int], p: int, data: st.DataObject) -> None:
    topk = data.draw(st.integers(1, p * p))
    routing = data.draw(st.sampled_from(["detached", "differentiable"]))
    attention, tokens = build(p, topk, routing=routing), tokens_of(grid, batch=1)
    expected, _ = slow(attention, tokens, grid)
    torch.testing.assert_close(attention(tokens, grid), expected, rtol=0, atol=1e-9)


@settings(max_examples=60)
@given(
    small=st.tuples(SIDES, SIDES), large=st.tuples(SIDES, SIDES), seed=st.integers(0, 999),
    scale=st.sampled_from([0.1, 3.0, 30.0]), only_valid=st.booleans(),
)  # fmt: skip
def test_focal_and_dice_loss(
    small: tuple[int, int], large: tuple[int, int], seed: int, scale: float, only_valid: bool
) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, 4, *small, generator=generator, dtype=torch.float64) * scale
    labels = torch.randint(0, 6, (2, *large), generator=generator)
    labels[labels > 3] = IGNORE_INDEX
    valid = labels != IGNORE_INDEX if only_valid else None
    assume(valid is None or bool(valid.flatten(1).any(1).all()))

    def ours(logits: Tensor, labels: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor]:
        return focal_dice_loss(logits, labels, present_classes(labels, 4), valid)

    found = []
    for loss in (ours, plain):
        leaf = logits.clone().requires_grad_()
        focal, dice = loss(leaf, labels, valid)
        found.append([focal, dice, *torch.autograd.grad(focal.sum() + dice.sum(), leaf)])
    torch.testing.assert_close(found[0], found[1], rtol=1e-6, atol=1e-9)


@settings(max_examples=200)
@given(
    classes=st.lists(NAMES, min_size=1, max_size=6), chosen=st.sets(st.integers(0, 5)),
    setting=st.sampled_from(["inductive", "transductive", "supervised"]),
)  # fmt: skip
def test_vocabulary(classes: list[str], chosen: set[int], setting: str) -> None:
    unseen = [classes[index] for index in chosen if index < len(classes)]
    keys = [name_key(name) for name in classes]
    fits = all(keys) and len(set(keys)) == len(keys)
    fits &= setting != "inductive" or len(unseen) < len(classes)
    try:
        vocabulary = Vocabulary(tuple(classes), tuple(unseen), setting=setting)
    except InputError:
        assert not fits
        return
    assert fits and vocabulary.classes == tuple(classes)
    assert sorted(vocabulary.seen_ids + vocabulary.unseen_ids) == list(range(len(classes)))
    assert {*vocabulary.unseen} == {*unseen} and not {*vocabulary.seen} & {*unseen}
    hidden = set(vocabulary.unseen_ids) if setting == "inductive" else set()
    assert hidden.isdisjoint(vocabulary.train_ids)
    assert vocabulary.training.classes == tuple(classes[i] for i in vocabulary.train_ids)
    meta = dict(classes=classes, unseen=unseen, setting=setting)
    assert Vocabulary.from_metainfo(meta) == vocabulary


def counted(pairs: list[tuple[np.ndarray, np.ndarray]], unseen: set[int]) -> dict[str, float]:
    """The papers' numbers, pixel by pixel."""
    labels, predicted = (np.concatenate([each[i].ravel() for each in pairs]) for i in (0, 1))
    labels, predicted = labels[labels != 255], predicted[labels != 255]
    ious: dict[bool, list[float]] = {True: [], False: []}
    for index in range(4):
        mine, said = labels == index, predicted == index
        if (mine | said).any():
            ious[index in unseen].append(100 * (mine & said).sum() / (mine | said).sum())
    means = {key: np.mean(ious[key == "mIoU_U"]) for key in ("mIoU_S", "mIoU_U")
             if ious[key == "mIoU_U"]}  # fmt: skip
    result = {"pAcc": 100 * (labels == predicted).mean(), **means} if len(labels) else {}
    if len(means) == 2:
        total = sum(means.values())
        result["hIoU"] = 2 * means["mIoU_S"] * means["mIoU_U"] / total if total else 0.0
    return result


@settings(max_examples=100)
@given(
    shapes=st.lists(st.tuples(SIDES, SIDES), min_size=1, max_size=5), seed=st.integers(0, 999),
    batch=st.integers(1, 3), ignored=st.sampled_from([0.0, 0.3, 1.0]), unseen=st.sets(
        st.integers(0, 3), min_size=1, max_size=3),
)  # fmt: skip
def test_metric(
    shapes: list[tuple[int, int]], seed: int, batch: int, ignored: float, unseen: set[int]
) -> None:
    rng, samples, pairs = np.random.default_rng(seed), [], []
    classes = ("cat", "dog", "bus", "sofa")
    for shape in shapes:
        label = np.where(rng.random(shape) < ignored, 255, rng.integers(0, 4, shape))
        pairs.append((label, rng.integers(0, 4, shape)))
        maps = zip(("gt_sem_seg", "pred_sem_seg"), pairs[-1], strict=True)
        samples.append({key: {"data": torch.from_numpy(each)[None]} for key, each in maps})
    metric: Any = ZeroShotIoUMetric()
    metric.dataset_meta = {"classes": classes, "unseen": [classes[index] for index in unseen]}
    for start in range(0, len(samples), batch):
        metric.process(None, samples[start : start + batch])
    assert metric.evaluate(len(samples)) == pytest.approx(counted(pairs, unseen))
