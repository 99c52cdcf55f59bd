from __future__ import annotations

import pickle

import pytest

from zegclip.errors import InputError
from zegclip.vocabulary import Vocabulary

CLASSES = ("cat", "dog", "bus", "sofa")


@pytest.mark.parametrize(
    ("setting", "train_ids"),
    [("inductive", (0, 2)), ("transductive", (0, 1, 2, 3)), ("supervised", (0, 1, 2, 3))],
)
def test_ids_and_words_follow_the_label_order(setting: str, train_ids: tuple[int, ...]) -> None:
    vocabulary = Vocabulary(
        [*CLASSES], unseen=["sofa", "dog"], synonyms={"sofa": ["sofa", "couch"]}, setting=setting
    )
    assert vocabulary.unseen == ("dog", "sofa") and vocabulary.seen == ("cat", "bus")
    assert vocabulary.seen_ids == (0, 2) and vocabulary.unseen_ids == (1, 3)
    assert vocabulary.words == (("cat",), ("dog",), ("bus",), ("sofa", "couch"))
    assert vocabulary.train_ids == train_ids
    training = vocabulary.training
    assert training.classes == tuple(CLASSES[index] for index in train_ids)
    assert training.words == tuple(vocabulary.words[index] for index in train_ids)


def test_equal_splits_are_equal_and_hashable_and_pickle() -> None:
    one = Vocabulary(CLASSES, unseen=("dog", "sofa"), synonyms={"dog": ("hound",)})
    other = Vocabulary(list(CLASSES), unseen=["sofa", "dog"], synonyms={"dog": ["hound"]})
    assert one == other and hash(one) == hash(other)
    assert one != Vocabulary(CLASSES, unseen=("dog", "sofa"))
    assert pickle.loads(pickle.dumps(one)) == one


def test_from_metainfo_takes_what_is_there() -> None:
    metainfo = {"classes": ["a", "b"], "palette": [[0, 0, 0], [1, 2, 3]], "label_map": None}
    vocabulary = Vocabulary.from_metainfo(metainfo)
    assert vocabulary.palette == ((0, 0, 0), (1, 2, 3))
    assert vocabulary.setting == "inductive" and vocabulary.unseen == ()
    with pytest.raises(InputError, match="no 'classes'"):
        Vocabulary.from_metainfo({"palette": []})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": ()}, "classes is empty"),
        ({"classes": ("cat", "dog", "cat")}, "classes names twice .*: cat, cat"),
        ({"classes": ("Cat", "dog", "cat")}, r"names twice \(CLIP reads no case\): Cat, cat"),
        ({"classes": ("a cat", "a  cat")}, "names twice"),
        ({"synonyms": {"sofa": ("Dog",)}}, "dog and sofa have the same words"),
        ({"unseen": ("dog", "dog")}, "unseen names twice"),
        ({"classes": ("cat", " ")}, "classes holds ' '"),
        ({"classes": ("\ufeffcat", "dog")}, r"classes holds '\\ufeffcat'"),
        ({"classes": "cat"}, "must be a list of names"),
        ({"unseen": ("Sofas",)}, "unseen names no class: 'Sofas' .did you mean 'sofa'"),
        ({"unseen": "dog"}, r"unseen='dog' must be a list of names, such as \['dog'\]"),
        ({"unseen": CLASSES}, "all 4 classes are unseen"),
        ({"unseen": ("dog",), "setting": "cross_dataset"}, "leave unseen out"),
        ({"setting": "zero-shot"}, "'zero-shot' is none of inductive"),
        ({"synonyms": {"couch": ("sofa",)}}, "synonyms names no class: 'couch'"),
        ({"synonyms": {"sofa": ()}}, r"synonyms\['sofa'\] is empty"),
        ({"palette": ((0, 0, 0),)}, "palette has 1 colours for 4 classes"),
    ],
)
def test_errors_name_the_culprit(changes: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Vocabulary(**{"classes": CLASSES, **changes})


def test_calibrated_is_what_was_trained_on_a_part_of_the_classes() -> None:
    assert Vocabulary(("cat", "dog"), unseen=("dog",)).is_calibrated
    assert not Vocabulary(("cat", "dog")).is_calibrated
    for setting in ("transductive", "supervised"):
        assert not Vocabulary(("cat", "dog"), unseen=("dog",), setting=setting).is_calibrated
