from __future__ import annotations

import pickle

import pytest

from zegclip.errors import InputError
from zegclip.vocabulary import Vocabulary

CLASSES = ("cat", "dog", "bus", "sofa")


def test_ids_and_words_follow_the_label_order() -> None:
    vocabulary = Vocabulary(
        classes=list(CLASSES), unseen=["sofa", "dog"], synonyms={"sofa": ["sofa", "couch"]}
    )
    assert vocabulary.unseen == ("dog", "sofa")
    assert vocabulary.seen == ("cat", "bus")
    assert vocabulary.seen_ids == (0, 2)
    assert vocabulary.unseen_ids == (1, 3)
    assert vocabulary.words == (("cat",), ("dog",), ("bus",), ("sofa", "couch"))


@pytest.mark.parametrize(
    ("setting", "train_ids"),
    [("inductive", (0, 2)), ("transductive", (0, 1, 2, 3)), ("supervised", (0, 1, 2, 3))],
)
def test_training_queries_depend_on_the_setting(setting: str, train_ids: tuple[int, ...]) -> None:
    vocabulary = Vocabulary(CLASSES, unseen=("dog", "sofa"), setting=setting)
    assert vocabulary.train_ids == train_ids


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
    with pytest.raises(InputError, match=r"no 'classes' \(only palette\)"):
        Vocabulary.from_metainfo({"palette": []})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": ()}, "classes is empty"),
        ({"classes": ("cat", "dog", "cat")}, "classes names twice: cat"),
        ({"classes": ("cat", " ")}, "classes holds ' '"),
        ({"classes": "cat"}, "must be a list of names"),
        ({"unseen": ("Sofas",)}, "unseen names no class: 'Sofas' .did you mean 'sofa'"),
        ({"unseen": ("dog", "dog")}, "unseen names twice: dog"),
        ({"unseen": "dog"}, r"unseen='dog' must be a list of names, such as \['dog'\]"),
        ({"unseen": CLASSES}, "all 4 classes are unseen"),
        ({"setting": "zero-shot"}, "'zero-shot' is none of inductive"),
        ({"synonyms": {"couch": ("sofa",)}}, "synonyms names no class: 'couch'"),
        ({"synonyms": {"sofa": ()}}, r"synonyms\['sofa'\] is empty"),
        ({"synonyms": {"sofa": ("",)}}, r"synonyms\['sofa'\] holds ''"),
        ({"palette": ((0, 0, 0),)}, "palette has 1 colours for 4 classes"),
    ],
)
def test_errors_name_the_culprit(changes: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Vocabulary(**{"classes": CLASSES, **changes})


def test_all_classes_may_be_unseen_where_training_uses_all() -> None:
    assert Vocabulary(CLASSES, unseen=CLASSES, setting="supervised").seen_ids == ()


def test_cross_dataset_tells_no_class_apart() -> None:
    with pytest.raises(InputError, match="leave unseen out"):
        Vocabulary(("cat", "dog"), unseen=("dog",), setting="cross_dataset")
