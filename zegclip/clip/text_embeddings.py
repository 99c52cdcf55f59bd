"""Class embeddings: words in templates through the frozen text tower."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor

from zegclip.vocabulary import Vocabulary

from .embedding_cache import EmbeddingCache
from .templates import find_templates
from .text_tower import TextTower
from .towers import LoadedClip, load_clip

_VOCABULARIES_KEPT = 8


@MODELS.register_module()
class TextEncoder(BaseModule):
    """Class embeddings T by CLIP's frozen text tower, computed once and cached on disk.

    Source: ZegCLIP, Sec. 4 (templates).

    Args:
        clip: a loaded CLIP, or the arguments of :func:`~zegclip.clip.load_clip`.
        templates: the name of a set, or a list (see :mod:`zegclip.clip.templates`).
        cache_dir: default ``$ZEGCLIP_CACHE`` or ``~/.cache/zegclip``.
        texts_at_once: how many texts go through the tower together.
        init_cfg: mmengine's.

    Attributes:
        templates: the templates themselves.
        learns: whether anything here is learned, so that the result changes with every step.
    """

    learns = False

    def __init__(
        self,
        clip: dict[str, Any] | LoadedClip,
        templates: str | Sequence[str] = "single",
        cache_dir: str | Path | None = None,
        texts_at_once: int = 256,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if texts_at_once < 1:
            raise ValueError(f"texts_at_once={texts_at_once} must be at least 1")
        self.texts_at_once = texts_at_once
        if not isinstance(clip, LoadedClip):
            clip = load_clip(**clip)
        self.templates = find_templates(templates)
        self.tower = TextTower(clip.model)
        self._tokenizer = clip.tokenizer
        self._fingerprint = clip.fingerprint
        self._cache = EmbeddingCache(cache_dir)
        self._tokens: dict[tuple[str, ...], Tensor] = {}

    @torch.no_grad()
    def forward(self, vocabulary: Vocabulary) -> Tensor:
        """Embed a vocabulary.

        Args:
            vocabulary: its ``words`` are embedded.

        Returns:
            ``(C, D)`` float32, unit rows: per word the mean over the templates of unit vectors,
            made unit again; per class the mean over its words, made unit again.
        """
        words = vocabulary.words
        key = self._cache.key(self._fingerprint, self.templates, words)
        embeddings = self._cache.read(key, words)
        if embeddings is None:
            embeddings = self.embed(words)
            self._cache.write(key, words, embeddings)
        return embeddings.to(self.tower.positional_embedding.device)

    def too_long(self, words: Sequence[str]) -> list[str]:
        """Those of the words that the text tower would see only a part of, in some template."""
        room = self._context_length()
        cut = []
        for word in words:
            texts = [template.format(word) for template in self.templates]
            tokens = self._tokenizer(texts, context_length=room + 1)
            cut += [word] if bool((tokens[:, -1] != 0).any()) else []
        return cut

    def _context_length(self) -> int:
        """Tokens that a text may have, its start and end included."""
        return self.tower.positional_embedding.shape[0]

    def protocol(self) -> dict[str, Any]:
        """What of this a reported number depends on."""
        return {"templates": list(self.templates)}

    def embed(self, words: Sequence[Sequence[str]]) -> Tensor:
        """Embed words without a cache: for each class its synonyms -> ``(C, D)``, unit rows."""
        flat = tuple(word for synonyms in words for word in synonyms)
        tokens = self._tokens_of(flat).to(self.tower.positional_embedding.device)
        with torch.autocast(tokens.device.type, enabled=False):
            rows = self._encode(tokens).float()
        rows = F.normalize(rows.unflatten(0, (len(flat), -1)).mean(dim=1), dim=-1)
        if len(flat) == len(words):
            return rows
        counts = torch.tensor([len(synonyms) for synonyms in words], device=rows.device)
        owners = torch.arange(len(words), device=rows.device).repeat_interleave(counts)
        # A sum points where the mean does.
        sums = rows.new_zeros(len(words), rows.shape[1]).index_add(0, owners, rows)
        return F.normalize(sums, dim=-1)

    def _tokens_of(self, words: tuple[str, ...]) -> Tensor:
        """:meth:`_tokenize`, remembered: a learning text encoder asks for the same every step."""
        tokens = self._tokens.get(words)
        if tokens is None:
            with torch.inference_mode(False):  # may be used in training later
                tokens = self.tower.without_padding(self._tokenize(words))
            if len(self._tokens) >= _VOCABULARIES_KEPT:
                self._tokens.pop(next(iter(self._tokens)))
            self._tokens[words] = tokens
        return tokens

    def _encode(self, tokens: Tensor) -> Tensor:
        """Token ids ``(N, L)`` -> unit rows ``(N, D)``."""
        return torch.cat([self._encode_part(part) for part in tokens.split(self.texts_at_once)])

    def _encode_part(self, tokens: Tensor) -> Tensor:
        """At most ``texts_at_once`` texts, as :meth:`_encode`."""
        return self.tower(tokens)

    def _tokenize(self, words: Sequence[str]) -> Tensor:
        """Token ids of every word in every template, ``(W * templates, L)``."""
        texts = [template.format(word) for word in words for template in self.templates]
        tokens = self._tokenizer(texts)
        known = self.tower.token_embedding.num_embeddings
        if int(tokens.max()) >= known:
            raise ValueError(
                f"the text tower knows {known} tokens, but its tokenizer makes id "
                f"{int(tokens.max())}: vocab_size in the model's text_cfg is too small"
            )
        self._warn_of_long(texts, tokens)
        return tokens

    @staticmethod
    def _warn_of_long(texts: Sequence[str], tokens: Tensor) -> None:
        """open_clip's tokenizer cuts what is longer than the context, and says nothing."""
        full = (tokens != 0).all(dim=1).nonzero().flatten().tolist()
        if full:
            warnings.warn(
                f"{texts[full[0]]!r} fills the text tower's context of {tokens.shape[1]} tokens "
                "and may have been cut: use a shorter name or template",
                stacklevel=3,
            )
