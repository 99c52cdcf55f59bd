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


def test_synonyms_and_seen_names() -> None:
    vocabulary = make_vocabulary({"cat": ["cat", "kitten"], "tv": "tv monitor"})
    assert vocabulary.words == (("cat", "kitten"), ("tv monitor",))
    vocabulary = make_vocabulary("cat, dog, bus", seen="cat, bus")
    assert (vocabulary.unseen, vocabulary.setting) == (("dog",), "inductive")


@pytest.mark.parametrize(
    ("text", "seen", "message"),
    [
        ([], None, "no words.*at least one"),
        ("", None, "no words"),
        (["cat", " "], None, "not a name"),
        (["Cat", "dog", "cat"], None, "names twice .*: Cat, cat"),
        ({"cat": []}, None, r"synonyms\['cat'\] is empty"),
        (["cat", 3], None, "3, which is not a name"),
        (5, None, "5: give a list"),
        ("cat, none of these", None, "'none of these' is how answers call the background"),
        ("cat, dog", ["horse"], "seen names no class: 'horse'.*cat, dog"),
    ],
)
def test_what_is_refused(text: Any, seen: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_vocabulary(text, seen)
