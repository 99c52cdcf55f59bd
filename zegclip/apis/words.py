"""What a person types as classes, as a vocabulary."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from zegclip.errors import InputError
from zegclip.vocabulary import Vocabulary

# "cat, a red bus", ["cat", "a red bus"] or {"cat": ["cat", "kitten"], "bus": ["bus"]}
Text: TypeAlias = str | Sequence[str] | Mapping[str, str | Sequence[str]]


def make_vocabulary(text: Text, seen: str | Iterable[str] | None = None) -> Vocabulary:
    """The vocabulary of what is asked for.

    Args:
        text: names in a list, or in one string with commas, semicolons or lines between them, or
            a dict from each name to its synonyms (all of them are put into the templates; the
            name only if it is among them). Spaces around names are dropped.
        seen: which of the names training has seen, in any case of letters; the others then are
            unseen, and the setting is the inductive one, which calibrates. ``None`` or nothing:
            nothing is called seen or unseen (setting ``cross_dataset``).

    Raises:
        InputError: no name at all; a blank one; one twice (whatever the case of its letters);
            a ``seen`` that is no name.
    """
    synonyms: dict[str, tuple[str, ...]] = {}
    if isinstance(text, Mapping):
        names = [_stripped(name, "the words") for name in text]
        for name, words in zip(names, text.values()):
            words = [words] if isinstance(words, str) else words
            what = f"the synonyms of {name!r}"
            if not isinstance(words, Iterable):
                raise InputError(f"{what} are {words!r}: give a list of words")
            synonyms[name] = tuple(_stripped(word, what) for word in words)
            _check_once(synonyms[name], what)
    else:
        names = _names(text, "the words")
    if not names:
        raise InputError('no words to look for: name at least one class, such as "cat"')
    _check_once(names, "the words")
    seen_names = _names(seen, "seen") if seen else []
    if not seen_names:
        return Vocabulary(tuple(names), synonyms=synonyms, setting="cross_dataset")
    known = {name.casefold(): name for name in names}
    unknown = [name for name in seen_names if name.casefold() not in known]
    if unknown:
        culprits = ", ".join(map(repr, unknown))
        raise InputError(f"seen names {culprits}, which the words do not: {', '.join(names)}")
    chosen = {known[name.casefold()] for name in seen_names}
    unseen = tuple(name for name in names if name not in chosen)
    return Vocabulary(tuple(names), unseen, synonyms, setting="inductive")


def _names(text: Any, what: str) -> list[str]:
    if isinstance(text, str):
        parts = text.replace(";", ",").replace("\n", ",").split(",")
        # A comma or line end at the very end is no blank name.
        while parts and not parts[-1].strip():
            parts.pop()
        text = parts
    elif not isinstance(text, Iterable):
        raise InputError(f"{what} are {text!r}: give a list of names, such as ['cat']")
    return [_stripped(name, what) for name in text]


def _stripped(name: Any, what: str) -> str:
    if not isinstance(name, str):
        raise InputError(f"{what} hold {name!r}, which is not a name but a {type(name).__name__}")
    if not name.strip():
        raise InputError(f"{what} hold a blank name: leave it out")
    return " ".join(name.split())


def _check_once(names: Sequence[str], what: str) -> None:
    found: dict[str, str] = {}
    for name in names:
        other = found.get(name.casefold())
        found[name.casefold()] = name
        if other is not None:
            twice = f"{name!r} twice" if other == name else f"both {other!r} and {name!r}"
            raise InputError(f"{what} hold {twice}: name each class once")
