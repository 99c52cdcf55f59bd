"""The papers' numbers from confusion matrices, and their table."""

from __future__ import annotations

import numpy as np
import pytest

from zegclip.evaluation import render_scores, scores
from zegclip.vocabulary import Vocabulary

VOCABULARY = Vocabulary(("cat", "dog", "bus", "sofa"), unseen=("bus", "sofa"))


def test_numbers_by_hand() -> None:
    # cat: 8 of 10 right, 2 called bus; bus: 4 right, 1 called cat, 1 called dog.
    confusion = [[8, 0, 2, 0], [0, 0, 0, 0], [1, 1, 4, 0], [0, 0, 0, 0]]
    result = scores(np.array(confusion), VOCABULARY)
    assert result["pAcc"] == pytest.approx(100 * 12 / 16)
    assert result["per_class"] == {
        "cat": {"IoU": pytest.approx(100 * 8 / 11), "Acc": pytest.approx(80), "split": "seen"},
        "dog": {"IoU": 0.0, "Acc": None, "split": "seen"},  # only predicted
        "bus": {"IoU": pytest.approx(50), "Acc": pytest.approx(400 / 6), "split": "unseen"},
    }
    assert result["absent"] == ["sofa"]
    seen = 100 * 8 / 11 / 2
    assert result["mIoU_S"] == pytest.approx(seen)
    assert result["mIoU_U"] == pytest.approx(50)
    assert result["hIoU"] == pytest.approx(2 * seen * 50 / (seen + 50))


def test_nothing_right() -> None:
    result = scores(np.array([[0, 0, 3, 0], [0] * 4, [3, 0, 0, 0], [0] * 4]), VOCABULARY)
    assert (result["pAcc"], result["mIoU_S"], result["mIoU_U"], result["hIoU"]) == (0, 0, 0, 0)


def test_numbers_that_do_not_exist_are_left_out_and_named() -> None:
    only_cat = np.zeros((4, 4), int)
    only_cat[0, 0] = 5
    result = scores(only_cat, VOCABULARY)
    assert result["mIoU_S"] == 100 and not {"mIoU_U", "hIoU"} & set(result)
    text = render_scores(result)
    assert "mIoU(U), hIoU left out: no unseen class in ground truth or prediction" in text
    assert "left out, in neither ground truth nor prediction: dog, bus, sofa" in text

    nothing = scores(np.zeros((4, 4), int), VOCABULARY)
    assert set(nothing) == {"per_class", "absent"} and nothing["absent"] == [*VOCABULARY.classes]
    assert "every pixel of the ground truth is ignored" in render_scores(nothing)


def test_supervised_setting_still_tells_seen_from_unseen() -> None:
    supervised = Vocabulary(VOCABULARY.classes, VOCABULARY.unseen, setting="supervised")
    confusion = np.random.default_rng(0).integers(0, 9, (4, 4))
    assert scores(confusion, supervised) == scores(confusion, VOCABULARY)


def test_table_in_the_papers_order() -> None:
    text = render_scores(scores(np.diag([3, 2, 2, 1]), VOCABULARY))
    header = next(line for line in text.splitlines() if "pAcc" in line)
    columns = ["pAcc", "mIoU(S)", "mIoU(U)", "hIoU"]
    assert [word for word in header.replace("┃", " ").split() if word in columns] == columns
    (sofa,) = (line for line in text.splitlines() if "sofa" in line)
    assert "UNSEEN" in sofa and sofa.count("100.00") == 2
    assert "\x1b" not in text  # a log file is no terminal


def test_cross_dataset_has_one_mean() -> None:
    vocabulary = Vocabulary(("cat", "dog"), setting="cross_dataset")
    result = scores(np.array([[3, 1], [0, 4]]), vocabulary)
    assert result["mIoU"] == pytest.approx(100 * (3 / 4 + 4 / 5) / 2)
    assert not {"mIoU_S", "mIoU_U", "hIoU"} & set(result)
    assert {entry["split"] for entry in result["per_class"].values()} == {"other data set"}
    table = render_scores(result)
    assert "77.50" in table and "mIoU(S)" not in table and "left out" not in table
