"""Saved class embeddings: what goes in comes out, and nothing else is taken for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from zegclip.apis import make_vocabulary
from zegclip.errors import InputError
from zegclip.export import ClassWords, read_class_words, text_fingerprint, words_of


@pytest.fixture
def words() -> ClassWords:
    rows = np.eye(3, 4, dtype=np.float32)
    return ClassWords({"cat": ("cat", "kitten"), "bus": ("bus",), "röd": ("röd",)}, rows, "ab")


def test_round_trip(words: ClassWords, tmp_path: Path) -> None:
    words.save(tmp_path / "words.npz")
    read = read_class_words(tmp_path / "words.npz")
    assert read.words == words.words and read.text_fingerprint == "ab"
    assert np.array_equal(read.embeddings, words.embeddings)
    assert [path.name for path in tmp_path.iterdir()] == ["words.npz"]


def test_rows_in_the_order_of_the_question(words: ClassWords) -> None:
    assert np.array_equal(words.rows(make_vocabulary("röd, cat")), words.embeddings[[2, 0]])
    own = make_vocabulary({"cat": ["cat", "kitten"]})
    assert np.array_equal(words.rows(own), words.embeddings[:1])


def test_words_that_are_not_there(words: ClassWords) -> None:
    with pytest.raises(InputError, match="no saved embedding of 'dog', only of cat, bus, röd"):
        words.rows(make_vocabulary("cat, dog"))
    with pytest.raises(InputError, match="saved with the words .*kitten.*, not with .*'puma'"):
        words.rows(make_vocabulary({"cat": ["puma"]}))


def _refused(path: Path, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        read_class_words(path)
    assert str(path) in str(error.value)


def test_other_files_are_refused(words: ClassWords, tmp_path: Path) -> None:
    file = tmp_path / "words.npz"
    _refused(file, "there is no file")
    file.write_bytes(b"no archive")
    _refused(file, "cannot be read")
    words.save(file)
    file.write_bytes(file.read_bytes()[:200])
    _refused(file, "cannot be read")
    np.savez(file, embeddings=words.embeddings)
    _refused(file, "no file of class embeddings")
    parts = {"words": np.array('{"cat": ["cat"]}'), "text_fingerprint": np.array("ab")}
    np.savez(file, embeddings=words.embeddings, **parts)
    _refused(file, "for 1 classes")
    np.savez(file, embeddings=np.full((1, 4), np.nan, np.float32), **parts)
    _refused(file, "finite")
    np.savez(file, embeddings=words.embeddings[:1], words=np.array("[1"), text_fingerprint="ab")
    _refused(file, "cannot be read")


def test_nothing_is_unpickled(words: ClassWords, tmp_path: Path) -> None:
    ran = tmp_path / "ran"

    class Harmful:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (ran,))

    file = tmp_path / "words.npz"
    np.savez(
        file,
        embeddings=words.embeddings,
        words=np.array([Harmful()], dtype=object),
        text_fingerprint=np.array("ab"),
    )
    _refused(file, "cannot be read")
    assert not ran.exists()


def test_embeddings_are_the_text_encoders(export_method: Callable[[str], Any]) -> None:
    model = export_method("ldvc").model
    vocabulary = make_vocabulary({"cat": ["cat", "kitten"], "bus": "bus"})
    saved = words_of(model, vocabulary)
    model.set_vocabulary(vocabulary)
    assert torch.from_numpy(saved.embeddings).equal(model.class_embeddings())
    assert saved.words == {"cat": ("cat", "kitten"), "bus": ("bus",)}


def test_what_is_learned_of_text_changes_the_fingerprint(
    export_method: Callable[[str], Any],
) -> None:
    model = export_method("ldvc").model
    before = text_fingerprint(model)
    assert before != text_fingerprint(export_method("zegclip").model)
    prompts = model.text_encoder.language_prompts
    with torch.no_grad():
        prompts[0, 0, 0] += 1
        changed = text_fingerprint(model)
        prompts[0, 0, 0] -= 1
    assert changed != before
