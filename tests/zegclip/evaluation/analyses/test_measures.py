"""Every measure against its plain definition, on random maps."""

from __future__ import annotations

import json
from collections import deque
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import cosine_similarity

from zegclip.evaluation import confusion_matrix, scores
from zegclip.evaluation.analyses.analysis import AnalysedImage, Best
from zegclip.evaluation.analyses.background import BackgroundThreshold
from zegclip.evaluation.analyses.boundaries import Boundaries, near_boundary
from zegclip.evaluation.analyses.calibration import (
    Calibration,
    confusion_at,
    confusion_of_oracle,
    gamma_counts,
    share_closed,
)
from zegclip.evaluation.analyses.decoder_tokens import Tokens, patch_labels, token_cosines
from zegclip.evaluation.analyses.detection import (
    Margin,
    auroc,
    calibration_error,
    detector_counts,
    reliability,
)
from zegclip.evaluation.analyses.fragments import fragment_counts
from zegclip.evaluation.analyses.misidentification import class_confusion, group_confusion
from zegclip.evaluation.analyses.training_curve import logged, validations
from zegclip.vocabulary import Vocabulary

SEEN = np.array([True, False, True, False, True])
CLASSES = Vocabulary(("cat", "sofa", "dog", "train", "bus"), unseen=("sofa", "train"))


MODEL: Any = SimpleNamespace(
    vocabulary=CLASSES, decode_head=SimpleNamespace(protocol=lambda _: {"gamma": 0.11})
)


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(0)


def image_of(probabilities: np.ndarray, labels: np.ndarray, predicted: np.ndarray) -> Any:
    """What the analyses ask of an image, from its maps ``(C, H, W)``."""
    uncalibrated = SimpleNamespace(uncalibrated=torch.from_numpy(probabilities), metainfo={})

    def best_of(ids: list[int]) -> tuple[np.ndarray, np.ndarray]:
        return AnalysedImage.best_of(uncalibrated, ids)  # type: ignore[arg-type]

    groups = (np.flatnonzero(each).tolist() for each in (SEEN, ~SEEN))
    best = Best(*(part for ids in groups for part in best_of(ids)))
    return SimpleNamespace(labels=labels, predicted=predicted, best_of=best_of, best=best)


def random_labels(random: np.random.Generator, size: tuple[int, int] = (24, 32)) -> np.ndarray:
    return random.choice([0, 1, 2, 3, 4, 255], size).astype(np.int64)


def test_confusion_matrix(random: np.random.Generator) -> None:
    labels, predicted = random_labels(random), random.integers(0, 5, (24, 32))
    expected = np.zeros((5, 5), int)
    for label, given in zip(labels.flat, predicted.flat):
        if label != 255:
            expected[label, given] += 1
    np.testing.assert_array_equal(confusion_matrix(labels, predicted, 5), expected)


def test_confusion_matrix_of_8_bit_maps() -> None:
    labels, predicted = np.array([[199, 3, 255]], np.uint8), np.array([[198, 3, 7]], np.uint8)
    confusion = confusion_matrix(labels, predicted, 200)
    assert confusion[199, 198] == confusion[3, 3] == 1 and confusion.sum() == 2


def test_who_is_taken_for_whom() -> None:
    confusion = np.zeros((5, 5), int)
    confusion[0] = [6, 2, 1, 1, 0]  # cat: 3 of 10 unseen
    confusion[1] = [1, 4, 0, 3, 2]  # sofa: 3 of 10 seen, most to the train
    confusion[2, 2] = 10
    assert group_confusion(confusion, SEEN) == {
        "seen_pixels_given_seen": pytest.approx(100 * 17 / 20),
        "seen_pixels_given_unseen": pytest.approx(100 * 3 / 20),
        "unseen_pixels_given_seen": pytest.approx(30),
        "unseen_pixels_given_unseen": pytest.approx(70),
    }
    assert class_confusion(confusion, CLASSES) == {
        "cat": {"given_other_group": pytest.approx(30), "mostly_taken_for": "sofa"},
        "sofa": {"given_other_group": pytest.approx(30), "mostly_taken_for": "train"},
        "dog": {"given_other_group": 0, "mostly_taken_for": None},
    }


def test_gamma_after_the_pass_is_gamma_before_arg_max(random: np.random.Generator) -> None:
    labels = random_labels(random)
    probabilities = random.random((5, *labels.shape), dtype=np.float32)
    gammas = np.linspace(-0.5, 1, 16)
    found = []
    for ids in (np.flatnonzero(SEEN), np.flatnonzero(~SEEN)):
        found += [probabilities[ids].max(0), ids[probabilities[ids].argmax(0)]]
    counts = gamma_counts(labels, Best(*found), gammas, 5)
    for index, gamma in enumerate(gammas):
        shifted = probabilities - gamma * SEEN[:, None, None]
        expected = confusion_matrix(labels, shifted.argmax(0), 5)
        np.testing.assert_array_equal(confusion_at(counts, index, SEEN), expected)
    # The oracle: what is not of the label's group cannot be chosen.
    group = np.append(SEEN, np.zeros(251, bool))[labels] == SEEN[:, None, None]
    told = np.where(group, probabilities, -1).argmax(0)
    expected = confusion_matrix(labels, told, 5)
    np.testing.assert_array_equal(confusion_of_oracle(counts, SEEN), expected)


def test_the_lead_that_gamma_leaves_is_enough() -> None:
    best = Best(*(np.full((1, 1), value) for value in (0.75, 0, 0.5, 1)))
    counts = gamma_counts(np.zeros((1, 1), np.int64), best, np.array([0.0, 0.25, 0.5]), 5)
    given = [confusion_at(counts, index, SEEN)[0].argmax() for index in range(3)]
    assert given == [0, 0, 1]


def test_calibration(random: np.random.Generator) -> None:
    """What is said of gamma is what a test by each gamma would say."""
    labels, predicted = random_labels(random), random.integers(0, 5, (24, 32))
    probabilities = random.random((5, 24, 32), dtype=np.float32)
    probabilities[SEEN] += 0.2
    analysis = Calibration(MODEL, "x.pth")
    analysis.counts = analysis.count(image_of(probabilities, labels, predicted))
    found = analysis.result()

    def h_iou(given: np.ndarray) -> float:
        return scores(confusion_matrix(labels, given, 5), CLASSES)["hIoU"]

    gammas = found["curve"]["gamma"]
    assert gammas == sorted({*(n / 50 for n in range(-25, 51)), 0.11})
    shifted = (probabilities - gamma * SEEN[:, None, None] for gamma in gammas)
    curve = [h_iou(each.argmax(0)) for each in shifted]
    assert found["curve"]["hIoU"] == pytest.approx(curve)
    plain, best, tested = curve[gammas.index(0)], max(curve), h_iou(predicted)
    oracle = h_iou(
        np.where(SEEN[labels % 255][None] == SEEN[:, None, None], probabilities, -1).argmax(0)
    )
    assert found["best_gamma"] == gammas[int(np.argmax(curve))] > 0
    assert found["hIoU_without_calibration"] == pytest.approx(plain)
    assert found["hIoU_with_gamma_alone"] == pytest.approx(curve[gammas.index(0.11)])
    assert found["hIoU_as_tested"] == pytest.approx(tested)
    assert found["hIoU_of_oracle"] == pytest.approx(oracle)
    share = 100 * (tested - best) / (oracle - best)
    assert found["closed_beyond_best_gamma"] == pytest.approx(share)


def test_of_equal_classes_the_first() -> None:
    image = image_of(np.full((5, 1, 2), 0.5, np.float32), *np.zeros((2, 1, 2), np.int64))
    assert image.best.seen_class.tolist() == [[0, 0]] and image.best.unseen_class.max() == 1


def test_the_margin_is_high_where_a_seen_class_leads() -> None:
    maps = np.zeros((5, 1, 3), np.float32)
    maps[4, 0, 0] = maps[1, 0, 1] = 1
    image = image_of(maps, *np.zeros((2, 1, 3), np.int64))
    assert Margin(MODEL, "x.pth").values(image).tolist() == [[1, 0, 0.5]]


def test_background_by_each_threshold(random: np.random.Generator) -> None:
    labels = random_labels(random)
    probabilities = random.integers(0, 101, (5, 24, 32)).astype(np.float32) / 100
    analysis = BackgroundThreshold(MODEL, "x.pth")
    analysis.counts = analysis.count(image_of(probabilities, labels, labels))
    found, truth = analysis.result(), np.where(labels == 255, 5, labels)
    for threshold, miou in zip(found["curve"]["threshold"], found["curve"]["mIoU"]):
        none = probabilities.max(0).astype(float) < threshold
        given = np.where(none, 5, probabilities.argmax(0))
        ious = [
            ((given == each) & (truth == each)).sum() / ((given == each) | (truth == each)).sum()
            for each in range(6)
        ]
        assert miou == pytest.approx(100 * np.mean(ious))
    assert found["best_mIoU"] == max(found["curve"]["mIoU"])


def test_share_of_the_gap() -> None:
    assert share_closed(40, 50, 60) == 50 and share_closed(40, 30, 60) == -50
    assert share_closed(60, 60, 60) is None


def test_auroc_is_how_often_a_seen_pixel_is_above_another(random: np.random.Generator) -> None:
    labels = random_labels(random)
    values = random.integers(0, 8, labels.shape) / 8 + 0.01  # with ties
    counts = detector_counts(values, labels, SEEN)
    groups = [np.isin(labels, ids) for ids in ([0, 2, 4], [1, 3], [255])]
    assert counts.sum(1).tolist() == [group.sum() for group in groups]
    for negatives, others in ((counts[1], groups[1]), (counts[1] + counts[2], ~groups[0])):
        pairs = values[groups[0]][:, None] - values[others]
        expected = 100 * np.mean((pairs > 0) + 0.5 * (pairs == 0))
        assert auroc(counts[0], negatives) == pytest.approx(expected)
    assert auroc(counts[0], 0 * counts[1]) is None


def test_reliability_and_calibration_error(random: np.random.Generator) -> None:
    labels, values = random_labels(random), random.random((24, 32)) ** 2
    values[0, 0] = 1.0  # the highest bin holds its end
    seen, unseen, _ = detector_counts(values, labels, SEEN)
    bins = reliability(seen, unseen)
    kept = labels != 255
    true = np.append(SEEN, np.zeros(251, bool))[labels]
    error, pixels = 0.0, []
    for number in range(10):
        inside = kept & (np.minimum((values * 10).astype(int), 9) == number)
        pixels.append(inside.sum())
        error += abs(true[inside].mean() - values[inside].mean()) * inside.sum() / kept.sum()
        assert bins["said"][number] == pytest.approx(values[inside].mean(), abs=1e-4)
        assert bins["true"][number] == pytest.approx(true[inside].mean())
    assert bins["pixels"] == pixels
    assert calibration_error(bins) == pytest.approx(100 * error, abs=0.01)
    assert reliability(seen[:10] * 0, unseen[:10] * 0)["said"] == []


def pieces(values: np.ndarray) -> list[list[tuple[int, int]]]:
    """Connected components of equal values, corners included, by breadth first search."""
    found, left = [], set(np.ndindex(values.shape))
    while left:
        queue, piece = deque([left.pop()]), []
        while queue:
            y, x = queue.popleft()
            piece.append((y, x))
            near = {(y + dy, x + dx) for dy, dx in product((-1, 0, 1), repeat=2)} & left
            near = {each for each in near if values[each] == values[y, x]}
            left -= near
            queue.extend(near)
        found.append(piece)
    return found


def test_fragments_by_search(random: np.random.Generator) -> None:
    labels = np.kron(random.choice([0, 1, 2, 255], (4, 5)), np.ones((6, 6), int))
    predicted = random.integers(0, 3, labels.shape)
    expected = np.zeros((2, 4), int)
    for piece in pieces(labels):
        if labels[piece[0]] != 255:
            within = np.full(labels.shape, -1)
            within[tuple(zip(*piece))] = predicted[tuple(zip(*piece))]
            sizes = [len(each) for each in pieces(within) if within[each[0]] != -1]
            group = int(not SEEN[labels[piece[0]]])
            expected[group] += [1, len(sizes), len(piece) - max(sizes), len(piece)]
    np.testing.assert_array_equal(fragment_counts(labels, predicted, SEEN), expected)


def test_objects_that_are_whole_or_tiny() -> None:
    labels = np.full((50, 50), 255)
    labels[10:30, 10:30], labels[40, 40] = 1, 0
    whole = fragment_counts(labels, np.full((50, 50), 3), SEEN)  # wrong, but in one piece
    assert whole.tolist() == [[0, 0, 0, 0], [1, 1, 0, 400]]


def test_near_a_boundary_by_distance(random: np.random.Generator) -> None:
    labels = np.kron(random.choice([0, 1, 255], (3, 4)), np.ones((12, 12), int))
    edge = [
        (y, x)
        for y, x in np.ndindex(labels.shape)
        for other in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1))
        if 0 <= other[0] < 36 and 0 <= other[1] < 48 and labels[other] != labels[y, x]
    ]
    ys, xs = np.indices(labels.shape)
    distance = np.min([np.hypot(ys - y, xs - x) for y, x in edge], axis=0)
    for share in (0.02, 0.05):
        np.testing.assert_array_equal(near_boundary(labels, share), distance <= share * 60)
    assert not near_boundary(np.zeros((5, 5), int)).any()


def test_scores_near_a_boundary_and_inside() -> None:
    """Of an image of 300 x 400 pixels: 2 % of its diagonal are 10, on both sides of the edge."""
    labels = np.zeros((300, 400), np.int64)
    labels[:, 200:] = 1
    predicted = labels.copy()
    predicted[:, 189:211] = 2
    analysis = Boundaries(MODEL, "x.pth")
    analysis.counts = analysis.count(image_of(np.zeros((5, 1, 1)), labels, predicted))
    found = analysis.result()
    assert found["boundary"]["pAcc"] == 0 and found["interior"]["pAcc"] == 100
    assert analysis.counts[0].sum() == 300 * 22


def test_cosines_of_tokens(random: np.random.Generator) -> None:
    torch.manual_seed(0)
    embeddings, by_clip = torch.randn(5, 8), torch.randn(5, 8)
    classes = (torch.randn(2, 5, 8), torch.randn(2, 5, 8))
    patches = (torch.randn(2, 6, 8), torch.randn(2, 6, 8))
    labels = torch.tensor([[0, 1, 2, 255, 4, 3], [255, 255, 1, 1, 0, 0]])
    tokens = Tokens(classes, patches)
    found = token_cosines(embeddings, by_clip, tokens, labels, torch.tensor(SEEN))
    for group, ids in enumerate(([0, 2, 4], [1, 3])):
        expected: list[list[torch.Tensor]] = [[] for _ in range(7)]
        for image, label in product(range(2), ids):
            made = classes[1][image, label]
            expected[2].append(cosine_similarity(by_clip[label], made, dim=0))
            for stage in range(2):
                same = cosine_similarity(embeddings[label], classes[stage][image, label], dim=0)
                expected[stage].append(same)
                for patch in (labels[image] == label).nonzero()[:, 0]:
                    similar = [
                        cosine_similarity(patches[stage][image, patch], each, dim=0)
                        for each in classes[stage][image]
                    ]
                    expected[3 + stage].append(similar.pop(label))
                    expected[5 + stage].append(sum(similar) / 4)
        sums = [[float(sum(each)), len(each)] for each in expected]
        np.testing.assert_allclose(found[group].numpy(), sums, atol=1e-5)


def test_labels_of_patches() -> None:
    """An image of 40 x 60 that the model saw at 20 x 30, in a window from (4, 8) on."""
    labels = np.arange(40)[:, None] + np.arange(60)
    found = patch_labels(labels, (4, 8, 20, 30), (3, 4), 8, (20, 30))
    expected = [
        255 if y >= 20 or x >= 30 else labels[2 * y, 2 * x]
        for y, x in product((8, 16, 24), (12, 20, 28, 36))
    ]
    assert found.tolist() == expected


def test_validations_of_a_run_that_was_killed_and_resumed(tmp_path: Path) -> None:
    """In a folder in which another training had been before, of 1,000 iterations."""
    logs = {
        "20251231": [{"mIoU_S": 5, "mIoU_U": 5, "step": step} for step in (10, 20, 1000)],
        "20260101": [{"loss": 1.0, "step": 1}, {"mIoU_S": 1, "mIoU_U": 2, "step": 10}],
        "20260102": [{"mIoU_S": n, "mIoU_U": 1, "pAcc": 0, "step": 10 * n} for n in (2, 1)],
    }
    for folder, lines in logs.items():
        path = tmp_path / folder / "vis_data" / "scalars.json"
        path.parent.mkdir(parents=True)
        killed = '{"mIoU_S": 3, "mIo'  # in the middle of a line
        path.write_text("".join(json.dumps(line) + "\n" for line in lines) + killed)
    found = [(each["iteration"], each["mIoU_S"], each["mIoU_U"]) for each in validations(tmp_path)]
    assert found == [(10, 1, 1), (20, 2, 1)]


def test_a_run_that_is_started_once_more_has_its_last_iteration(tmp_path: Path) -> None:
    """It begins with the validation that it may have been stopped in."""
    lines = [{"loss": 1.0, "step": 10}, {"loss": 0.5, "step": 20}, {"mIoU_S": 1, "step": 20}]
    for folder, log in (("20260101", lines), ("20260102", lines[2:])):
        path = tmp_path / folder / "vis_data" / "scalars.json"
        path.parent.mkdir(parents=True)
        path.write_text("".join(json.dumps(line) + "\n" for line in log))
    assert [each["loss"] for each in logged(tmp_path) if "loss" in each] == [1.0, 0.5]
