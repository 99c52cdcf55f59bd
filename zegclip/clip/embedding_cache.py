"""Class embeddings on disk, each file with the names of its rows."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

Words = Sequence[Sequence[str]]


class EmbeddingCache:
    """A folder of safetensors files, one a (weights, templates, words).

    Args:
        folder: default ``$ZEGCLIP_CACHE`` or ``~/.cache/zegclip``. A folder that cannot be
            written to is no error: nothing is cached then.
    """

    def __init__(self, folder: str | Path | None = None) -> None:
        self.folder = Path(folder or os.environ.get("ZEGCLIP_CACHE") or "~/.cache/zegclip")
        self.folder = self.folder.expanduser()

    @staticmethod
    def key(fingerprint: str, templates: Sequence[str], words: Words) -> str:
        """Hexadecimal digest of all that the embeddings depend on."""
        content = json.dumps([fingerprint, list(templates), [list(w) for w in words]])
        return hashlib.sha256(content.encode()).hexdigest()

    def _file(self, key: str) -> Path:
        return self.folder / f"class_embeddings_{key[:32]}.safetensors"

    def read(self, key: str, words: Words) -> Tensor | None:
        """The embeddings ``(C, D)``, or ``None`` if there is no sound file."""
        file = self._file(key)
        if not file.is_file():
            return None
        try:
            with safe_open(str(file), framework="pt") as content:
                names = json.loads((content.metadata() or {}).get("words", "null"))
                embeddings = content.get_tensor("embeddings")
        except (SafetensorError, OSError, ValueError) as error:
            warnings.warn(f"{file} is broken and computed anew: {error}", stacklevel=2)
            return None
        if names != [list(word) for word in words] or len(embeddings) != len(words):
            warnings.warn(f"{file} holds other classes and is computed anew", stacklevel=2)
            return None
        return embeddings

    def write(self, key: str, words: Words, embeddings: Tensor) -> None:
        """Write a file at once, so that no other process reads half of it."""
        metadata = {"words": json.dumps([list(word) for word in words])}
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self.folder) as temporary:
                part = Path(temporary) / "part"
                save_file({"embeddings": embeddings.cpu().contiguous()}, str(part), metadata)
                os.replace(part, self._file(key))
        except OSError as error:
            warnings.warn(f"class embeddings are not cached: {error}", stacklevel=2)
