"""What a person types as classes, as a vocabulary."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from typing import Any, TypeAlias

from zegclip.errors import InputError
from zegclip.vocabulary import Background, Vocabulary, check_known

# "cat, a red bus", ["cat", "a red bus"] or {"cat": ["cat", "kitten"], "bus": ["bus"]}
Text: TypeAlias = str | Sequence[str] | Mapping[str, str | Sequence[str]]

# Commas (those of Chinese and Japanese too), semicolons, lines.
_BETWEEN_NAMES = "[,;\n，、；]"

NONE_OF_THESE = "none of these"  # what answers call the background, so no class's name


def make_vocabulary(text: Text, seen: str | Iterable[str] | None = None) -> Vocabulary:
    """A vocabulary of the class names that somebody asks for.

    Args:
        text: names in a list, or in one string with commas, semicolons or lines between them, or
            a dict from each name to its synonyms (all of them are put into the templates; the
            name only if it is among them). ``"cat|kitten"`` is a cat, with both words as synonyms.
            Spaces around names are dropped.
        seen: which of the names training has seen; the others then are unseen, and the setting is
            the inductive one, which calibrates. ``None`` or nothing: nothing is called seen or
            unseen (setting ``cross_dataset``).

    Raises:
        InputError: no name at all; a blank one; one twice; a ``seen`` that is none of the names.

    Example:
        >>> make_vocabulary("cat, a red bus", seen=["cat"]).unseen
        ('a red bus',)
    """
    names = split_names(text)
    if isinstance(text, Mapping):
        synonyms = {name: split_names(words) for name, words in zip(names, text.values())}
    else:
        words_of = [split_names(str(name).split("|")) for name in names]
        names = tuple(w[0] if len(w) > 1 else name for name, w in zip(names, words_of))
        synonyms = {words[0]: words for words in words_of if len(words) > 1}
    if not names:
        raise InputError('no words to look for: name at least one class, such as "cat"')
    if NONE_OF_THESE in names:
        raise InputError(f"{NONE_OF_THESE!r} is how answers call the background: leave it out")
    seen_names = split_names(seen or ())
    if not seen_names:
        return Vocabulary(names, synonyms=synonyms, setting="cross_dataset")
    seen_names = make_vocabulary(seen_names).classes
    check_known(seen_names, names, "seen")
    unseen = tuple(name for name in names if name not in seen_names)
    return Vocabulary(names, unseen, synonyms, setting="inductive")


def make_background(asked: float | str | Iterable[str]) -> Background:
    """A rule for pixels of no class: a least probability, words for all else, or both.

    Args:
        asked: a number, words, or a text with both.

    Raises:
        InputError: two numbers; something that is neither a word nor a number; or nothing.

    Example:
        >>> make_background("0.4, sky, wall")
        Background(threshold=0.4, words=('sky', 'wall'))
    """
    numbers: list[float] = []
    words: list[str] = []
    # (numpy's float32 is a Real.)
    parts: Iterable[Any] = [asked] if isinstance(asked, (float, Real)) else split_names(asked)
    for part in parts:
        try:
            numbers.append(float(part))
        except (TypeError, ValueError):  # (what is no text is refused below)
            words.append(part)
    # (A percentage, or a comma for the point.)
    odd = any(str(word)[:1].isdigit() and not any(map(str.isalpha, word)) for word in words)
    if odd or len(numbers) > 1:
        raise InputError(
            f"background {asked!r}: give a probability, words for all else, or both: '0.4, sky'"
        )
    asked_words = make_vocabulary(words).words if words or not numbers else ()
    return Background(numbers[0] if numbers else None, tuple(itertools.chain(*asked_words)))


def split_names(text: str | Iterable[str]) -> tuple[str, ...]:
    """Names from a list or from one string with commas, semicolons or lines between them.

    Blank names and other types than text are left in: :class:`Vocabulary` refuses them.

    Raises:
        InputError: it is neither a string nor a list.
    """
    if isinstance(text, str):
        text = [name for name in re.split(_BETWEEN_NAMES, text) if name.strip()]
    if not isinstance(text, Iterable):
        raise InputError(f"the words are {text!r}: give a list of names, such as ['cat']")
    return tuple(" ".join(name.split()) if isinstance(name, str) else name for name in text)
