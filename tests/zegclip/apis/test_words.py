"""What people type as words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from zegclip.apis import make_vocabulary
from zegclip.apis.words import make_background
from zegclip.errors import InputError
from zegclip.vocabulary import Background


@pytest.mark.parametrize(
    "text",
    [
        "cat, a red  bus,",
        " cat\na red bus",
        ["cat", " a red bus "],
        "cat;a red bus",
        "cat，a red bus、",
    ],
)
def test_names(text: Any) -> None:
    vocabulary = make_vocabulary(text)
    assert vocabulary.classes == ("cat", "a red bus")
    assert vocabulary.setting == "cross_dataset" and not vocabulary.unseen


def test_synonyms_and_seen_names() -> None:
    vocabulary = make_vocabulary({"cat": ["cat", "kitten"], "tv": "tv monitor"})
    assert vocabulary.words == (("cat", "kitten"), ("tv monitor",))
    vocabulary = make_vocabulary("cat | kitten, tv")
    assert (vocabulary.classes, vocabulary.words) == (("cat", "tv"), (("cat", "kitten"), ("tv",)))
    assert make_vocabulary("cat|kitten, tv", seen="cat|kitten").unseen == ("tv",)
    vocabulary = make_vocabulary("cat, dog, bus", seen="cat, bus")
    assert (vocabulary.unseen, vocabulary.setting) == (("dog",), "inductive")


@pytest.mark.parametrize(
    ("text", "seen", "message"),
    [
        ([], None, "no words.*at least one"),
        ("", None, "no words"),
        (["cat", " "], None, "not a name"),
        (["Cat", "dog", "cat"], None, "names twice .*: Cat, cat"),
        ("cat|, dog", None, r"synonyms\['cat'\] holds '', which"),
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


@pytest.mark.parametrize(
    ("text", "threshold", "words"),
    [
        (0.4, 0.4, ()),
        (np.float32(0.5), 0.5, ()),
        ("0.4", 0.4, ()),
        ("0.4, sky", 0.4, ("sky",)),
        ("0.4, sky|cloud", 0.4, ("sky", "cloud")),
        ("sky; .4; 3 walls", 0.4, ("sky", "3 walls")),
        (["sky", "空"], None, ("sky", "空")),
    ],
)
def test_what_is_none_of_the_words(text: Any, threshold: float | None, words: Any) -> None:
    assert make_background(text) == Background(threshold, words)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0,5", "background '0,5': give a probability, words for all else, or both"),
        ("50%", "background '50%': give a probability"),
        ("1.5, sky", "1.5 is not between 0 and 1"),
        ("", "no words"),
        (["sky", None], "None, which is not a name"),
    ],
)
def test_what_is_no_background(text: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_background(text)
