"""Class embeddings in a file, so that words can be asked for without the text encoder."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from zegclip.errors import InputError
from zegclip.segmentors import ZeroShotSegmentor
from zegclip.vocabulary import Vocabulary

# The file beside a model that is looked for where none is named.
WORDS = "words.npz"
_PARTS = ("embeddings", "words", "text_fingerprint")


@dataclass(frozen=True)
class ClassWords:
    """Classes with the embeddings of their words.

    Attributes:
        words: for each class name its words, in the order of the rows.
        embeddings: T, ``(C, D)`` float32, unit rows.
        text_fingerprint: of what embedded them (:func:`text_fingerprint`).
    """

    words: Mapping[str, tuple[str, ...]]
    embeddings: np.ndarray
    text_fingerprint: str

    @property
    def names(self) -> tuple[str, ...]:
        """The classes, in the order of the rows."""
        return tuple(self.words)

    def rows(self, vocabulary: Vocabulary) -> np.ndarray:
        """Embeddings of a vocabulary's classes, ``(len(vocabulary.classes), D)``.

        Raises:
            InputError: one of them is not here, or with other synonyms.
        """
        missing = [name for name in vocabulary.classes if name not in self.words]
        if missing:
            raise InputError(
                f"there is no saved embedding of {', '.join(map(repr, missing))}, only of "
                f"{', '.join(self.names)}: save it too (tools/export_onnx.py --words), or give the "
                "config and the checkpoint, whose text encoder embeds any word"
            )
        for name, words in vocabulary.synonyms.items():
            if tuple(words) != self.words[name]:
                raise InputError(
                    f"{name!r} was saved with the words {list(self.words[name])}, not with "
                    f"{list(words)}"
                )
        order = {name: row for row, name in enumerate(self.words)}
        return self.embeddings[[order[name] for name in vocabulary.classes]]

    def save(self, path: str | Path) -> None:
        """Write an ``.npz``; a reader never sees half of one."""
        path = Path(path)
        words = json.dumps({name: list(words) for name, words in self.words.items()})
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".export") as folder:
            part = Path(folder) / WORDS
            np.savez(
                part,
                embeddings=self.embeddings,
                words=np.array(words),
                text_fingerprint=np.array(self.text_fingerprint),
            )
            os.replace(part, path)


def read_class_words(path: str | Path) -> ClassWords:
    """Read what :meth:`ClassWords.save` wrote, as data (nothing is unpickled).

    Raises:
        InputError: there is no such file, or it is of another form; names it.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            if not isinstance(file, np.lib.npyio.NpzFile) or set(file.files) != set(_PARTS):
                raise InputError(f"{path} is no file of class embeddings ({', '.join(_PARTS)})")
            embeddings, words, fingerprint = (file[part] for part in _PARTS)
        content = json.loads(str(words))
        pairs = {str(name): tuple(map(str, synonyms)) for name, synonyms in content.items()}
        Vocabulary(tuple(pairs), synonyms=pairs, setting="cross_dataset")
    except FileNotFoundError:
        raise InputError(f"there is no file {path}") from None
    except (OSError, ValueError, EOFError, AttributeError, TypeError, zipfile.BadZipFile) as error:
        reason = str(error).split("\n")[0]
        raise InputError(f"{path} cannot be read as class embeddings: {reason}") from error
    if embeddings.dtype != np.float32 or embeddings.shape[:1] != (len(pairs),):
        raise InputError(
            f"{path} holds {embeddings.dtype} embeddings of shape {embeddings.shape} for "
            f"{len(pairs)} classes: it is broken"
        )
    if embeddings.ndim != 2 or not np.isfinite(embeddings).all():
        raise InputError(f"{path}: its embeddings are no (C, D) finite numbers")
    return ClassWords(pairs, embeddings, str(fingerprint))


def text_fingerprint(model: ZeroShotSegmentor) -> str:
    """SHA-256 over all that class embeddings depend on beside the words.

    That is CLIP's identity, the kind of the text encoder, its templates, and what it has learned.
    """
    encoder = model.text_encoder
    digest = hashlib.sha256(bytes(model.clip_fingerprint.cpu()))
    digest.update(json.dumps([type(encoder).__name__, list(encoder.templates)]).encode())
    for name, parameter in sorted(encoder.named_parameters()):
        if parameter.requires_grad:
            digest.update(f"{name} {tuple(parameter.shape)}".encode())
            digest.update(parameter.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


@torch.no_grad()
def words_of(model: ZeroShotSegmentor, vocabulary: Vocabulary) -> ClassWords:
    """Embed a vocabulary to save it.

    Args:
        model: with its checkpoint.
        vocabulary: its words are embedded.
    """
    embeddings = model.text_encoder(vocabulary).float().cpu().numpy()
    words: dict[str, Sequence[str]] = dict(zip(vocabulary.classes, vocabulary.words))
    pairs = {name: tuple(synonyms) for name, synonyms in words.items()}
    return ClassWords(pairs, embeddings, text_fingerprint(model))
