"""Class embeddings in a file, so that words can be asked for without the text encoder."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from zegclip.errors import InputError
from zegclip.files import replacing
from zegclip.segmentors import ReadOut, ZeroShotSegmentor
from zegclip.vocabulary import Vocabulary, name_key

# The file of class embeddings that is looked for beside an exported model where none is named.
EMBEDDINGS_FILE = "words.npz"
_LARGEST = 2**30  # bytes


@dataclass(frozen=True)
class ClassWords:
    """Classes, and the text encoder's embeddings of their words.

    A class has one query, or one for each of its words where the method asks for words apart.

    Attributes:
        words: the words (synonyms) of each class.
        queries: the words of each row of ``embeddings``, by the row's name: that of a class, or of
            a word by itself.
        embeddings: ``(Q, D)`` float32, rows of unit length (T).
        text_fingerprint: of the text encoder, see :func:`text_fingerprint`.

    Example:
        >>> words = ClassWords.embed(model, make_vocabulary("cat, dog"))
        >>> words.save("words.npz")
        >>> ClassWords.read("words.npz").rows(make_vocabulary("dog")).shape
        (1, 512)
    """

    words: Mapping[str, tuple[str, ...]]
    queries: Mapping[str, tuple[str, ...]]
    embeddings: np.ndarray
    text_fingerprint: str

    @classmethod
    @torch.no_grad()
    def embed(cls, model: ZeroShotSegmentor, vocabulary: Vocabulary) -> ClassWords:
        """Embed a vocabulary, and the words of the model's background, by its text encoder."""
        head = model.decode_head
        queries = ReadOut(head, vocabulary, background=head.background).queries
        embeddings = model.text_encoder(queries).float().cpu().numpy()
        words, rows = (dict(zip(each.classes, each.words)) for each in (vocabulary, queries))
        return cls(words, rows, embeddings, text_fingerprint(model))

    @classmethod
    def read(cls, path: str | Path) -> ClassWords:
        """Read what :meth:`save` wrote, as data: nothing is unpickled.

        Raises:
            InputError: there is no such file, or it is of another form.
        """
        try:
            if zipfile.is_zipfile(path):  # (deflated, a small file may hold any size)
                with zipfile.ZipFile(path) as archive:
                    size = sum(each.file_size for each in archive.infolist())
                if size > _LARGEST:
                    raise ValueError(f"it holds {size} bytes, and may hold {_LARGEST}")
            with np.load(path, allow_pickle=False) as file:
                words, queries = (
                    {name: tuple(each) for name, each in json.loads(str(file[key])).items()}
                    for key in ("words", "queries")
                )
                embeddings, fingerprint = file["embeddings"], str(file["text_fingerprint"])
            for each in (words, queries):
                Vocabulary(tuple(each), synonyms=each, setting="cross_dataset")
            if embeddings.shape[:1] != (len(queries),) or not np.isfinite(embeddings).all():
                raise ValueError("its embeddings are no finite numbers, a row for each query")
        except Exception as error:  # whatever is wrong with a file of anybody's
            raise InputError(f"{path} cannot be read as class embeddings: {error}") from error
        return cls(words, queries, embeddings.astype(np.float32), fingerprint)

    def save(self, path: str | Path) -> None:
        """Write them as an ``.npz`` file."""
        rest: dict[str, Any] = {
            "words": json.dumps(self.words),
            "queries": json.dumps(self.queries),
            "text_fingerprint": self.text_fingerprint,
        }
        with replacing(path) as part:
            np.savez(part, embeddings=self.embeddings, **rest)

    def rows(self, vocabulary: Vocabulary) -> np.ndarray:
        """Look up the embeddings of a vocabulary's classes.

        Returns:
            ``(C, D)`` float32, in the order of the classes.

        Raises:
            InputError: a class has no embedding here, or one of other words.
        """
        saved = {name_key(name): row for row, name in enumerate(self.queries)}
        rows = []
        for name, words in zip(vocabulary.classes, vocabulary.words):
            row = saved.get(name_key(name))
            if row is None:
                raise InputError(
                    f"there is no saved embedding of {name!r}, only of {', '.join(self.queries)}: "
                    "save it too (tools/export_onnx.py --words), or give config and checkpoint "
                    "instead"
                )
            own = list(self.queries.values())[row]
            if name in vocabulary.synonyms and words != own:
                raise InputError(f"{name!r} was saved with the words {list(own)}")
            rows.append(row)
        return self.embeddings[rows]


def text_fingerprint(model: ZeroShotSegmentor) -> str:
    """SHA-256 over everything except the words that class embeddings depend on.

    That is CLIP's identity, the kind of the text encoder, its templates, and what it has learned.
    """
    encoder = model.text_encoder
    digest = hashlib.sha256(bytes.fromhex(model.clip_source["fingerprint"]))
    digest.update(json.dumps([type(encoder).__name__, list(encoder.templates)]).encode())
    for name, parameter in sorted(encoder.named_parameters()):
        if parameter.requires_grad:
            digest.update(f"{name} {tuple(parameter.shape)}".encode())
            digest.update(parameter.detach().float().cpu().numpy().tobytes())
    return digest.hexdigest()
