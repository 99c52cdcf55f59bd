"""What people type as words."""

from __future__ import annotations

from typing import Any

import pytest

from zegclip.apis import make_vocabulary
from zegclip.errors import InputError


@pytest.mark.parametrize(
    "text", ["cat, a red  bus,", " cat\na red bus", ["cat", " a red bus "], "cat;a red bus"]
)
def test_names(text: Any) -> None:
    vocabulary = make_vocabulary(text)
    assert vocabulary.classes == ("cat", "a red bus")
    assert vocabulary.setting == "cross_dataset" and not vocabulary.unseen


def test_synonyms() -> None:
    vocabulary = make_vocabulary({"cat": ["cat", "kitten"], "tv": "tv monitor"})
    assert vocabulary.words == (("cat", "kitten"), ("tv monitor",))


def test_seen_names_make_it_inductive() -> None:
    vocabulary = make_vocabulary("Cat, dog, bus", seen="cat, BUS")
    assert (vocabulary.seen, vocabulary.unseen) == (("Cat", "bus"), ("dog",))
    assert vocabulary.setting == "inductive"
    assert make_vocabulary("cat", seen=[]).setting == "cross_dataset"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ([], "no words.*at least one"),
        ("", "no words"),
        ({}, "no words"),
        (["cat", " "], "blank"),
        ("cat,,dog", "blank"),
        (["Cat", "dog", "cat"], "both 'Cat' and 'cat'"),
        ("cat, cat", "'cat' twice"),
        ({"cat": ["kitten", "Kitten"]}, "synonyms of 'cat' hold both"),
        ({"cat": []}, r"synonyms\['cat'\] is empty"),
        (["cat", 3], "3, which is not a name but a int"),
        (5, "5: give a list"),
    ],
)
def test_what_is_refused(text: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_vocabulary(text)


def test_an_unknown_seen_name_is_named() -> None:
    with pytest.raises(InputError, match="seen names 'horse'.*cat, dog"):
        make_vocabulary("cat, dog", seen=["horse"])
