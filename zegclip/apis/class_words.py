"""Class embeddings in a file, so that words can be asked for without the text encoder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from zegclip.errors import InputError
from zegclip.files import replacing
from zegclip.segmentors import ZeroShotSegmentor
from zegclip.vocabulary import Vocabulary

# The file beside a model that is looked for where none is named.
WORDS = "words.npz"


@dataclass(frozen=True)
class ClassWords:
    """Classes with the embeddings of their words.

    Example:
        >>> words = ClassWords.embed(model, make_vocabulary("cat, dog"))
        >>> words.save("words.npz")
        >>> ClassWords.read("words.npz").rows(make_vocabulary("dog")).shape
        (1, 512)
    """

    words: Mapping[str, tuple[str, ...]]  # of each class, in the order of the rows
    embeddings: np.ndarray  # T, (C, D) float32, unit rows
    text_fingerprint: str  # of what embedded them

    @classmethod
    @torch.no_grad()
    def embed(cls, model: ZeroShotSegmentor, vocabulary: Vocabulary) -> ClassWords:
        """Embed a vocabulary with a model's text encoder."""
        embeddings = model.text_encoder(vocabulary).float().cpu().numpy()
        words = dict(zip(vocabulary.classes, vocabulary.words))
        return cls(words, embeddings, text_fingerprint(model))

    @classmethod
    def read(cls, path: str | Path) -> ClassWords:
        """Read what :meth:`save` wrote, as data: nothing is unpickled.

        Raises:
            InputError: there is no such file, or it is of another form.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                words = {name: tuple(each) for name, each in json.loads(str(file["words"])).items()}
                embeddings, fingerprint = file["embeddings"], str(file["text_fingerprint"])
            Vocabulary(tuple(words), synonyms=words, setting="cross_dataset")
            if embeddings.shape[:1] != (len(words),) or not np.isfinite(embeddings).all():
                raise ValueError("its embeddings are no finite numbers, a row for each class")
        except Exception as error:  # whatever is wrong with a file of anybody's
            raise InputError(f"{path} cannot be read as class embeddings: {error}") from error
        return cls(words, embeddings.astype(np.float32), fingerprint)

    def save(self, path: str | Path) -> None:
        """Write an ``.npz``."""
        rest: dict[str, Any] = {
            "words": json.dumps(self.words),
            "text_fingerprint": self.text_fingerprint,
        }
        with replacing(path) as part:
            np.savez(part, embeddings=self.embeddings, **rest)

    def rows(self, vocabulary: Vocabulary) -> np.ndarray:
        """Embeddings of a vocabulary's classes, ``(C, D)``; ``InputError`` if one is not here."""
        order = {name: row for row, name in enumerate(self.words)}
        for name, words in zip(vocabulary.classes, vocabulary.words):
            if name not in order:
                raise InputError(
                    f"there is no saved embedding of {name!r}, only of {', '.join(order)}: save it "
                    "too (tools/export_onnx.py --words), or give config and checkpoint instead"
                )
            if name in vocabulary.synonyms and words != self.words[name]:
                raise InputError(f"{name!r} was saved with the words {list(self.words[name])}")
        return self.embeddings[[order[name] for name in vocabulary.classes]]


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
            digest.update(parameter.detach().float().cpu().numpy().tobytes())
    return digest.hexdigest()
