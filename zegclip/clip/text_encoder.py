"""Class embeddings: words in templates through the frozen text tower, cached on disk."""

from __future__ import annotations

import hashlib
import itertools
import json
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from zegclip.files import cache_folder, replacing
from zegclip.vocabulary import Vocabulary

from .loading import LoadedClip, load_clip
from .templates import find_templates
from .text_tower import TextTower

_LONGEST_TOKEN = 32  # of CLIP's vocabulary, bytes
_ROWS_KEPT = 10_000  # words whose embeddings stay in memory


@MODELS.register_module()
class TextEncoder(BaseModule):
    """Class embeddings T by CLIP's frozen text tower, computed once and cached on disk.

    A subclass that learns overrides :meth:`forward` and :meth:`encode`.

    Source: ZegCLIP, Sec. 4 (templates).

    Args:
        clip: a loaded CLIP, or the arguments of :func:`~zegclip.clip.load_clip`.
        templates: the name of a set, or a list (see :mod:`zegclip.clip.templates`).
        cache_dir: default ``$ZEGCLIP_CACHE`` or ``~/.cache/zegclip``; one that cannot be written
            to is no error.
        texts_at_once: how many texts go through the tower together.
        init_cfg: mmengine's.

    Attributes:
        templates: the templates themselves.
        learns: whether anything here is learned, so that the result changes with every step.
        writes_cache: whether new class embeddings go to the disk; ``False`` where anybody's words
            would fill it. Those that are there are read all the same.

    Example:
        >>> encoder = TextEncoder(clip, templates="multi15")
        >>> encoder(Vocabulary(classes=("cat", "grass"))).shape
        torch.Size([2, 512])
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
        if not isinstance(clip, LoadedClip):
            clip = load_clip(**clip)
        self.templates = find_templates(templates)
        self.texts_at_once = texts_at_once
        self.tower = TextTower(clip.model)
        self.tokenizer = clip.tokenizer
        self._fingerprint = clip.fingerprint
        self.writes_cache = True
        self._cache_dir = Path(cache_dir or cache_folder()).expanduser()
        self._rows: dict[str, Tensor] = {}  # by word, with these settings:
        self._rows_of: tuple[Any, ...] = ()
        self._last_tokens: tuple[tuple[str, ...], Tensor] | None = None

    @torch.no_grad()
    def forward(self, vocabulary: Vocabulary) -> Tensor:
        """Embed a vocabulary's ``words``.

        Returns:
            ``(C, D)`` float32, unit rows: per word the mean over the templates of unit vectors,
            made unit again; per class the mean over its words, made unit again.
        """
        file = self._cache_file(vocabulary)
        if file.is_file():
            with suppress(SafetensorError, OSError):  # damaged: made again
                embeddings = load_file(file)["embeddings"]
                self._warn_of_cuts([word for synonyms in vocabulary.words for word in synonyms])
                return embeddings.to(self.tower.positional_embedding.device)
        embeddings = self._embed_remembering(vocabulary.words)
        exact = self.tower.positional_embedding.dtype == torch.float32
        if not (self.writes_cache and exact):
            return embeddings
        try:
            with replacing(file) as part:
                save_file({"embeddings": embeddings.cpu().contiguous()}, part)
        except (SafetensorError, OSError) as error:
            warnings.warn(f"class embeddings are not cached: {error}", stacklevel=2)
        return embeddings

    def _cache_file(self, vocabulary: Vocabulary) -> Path:
        """The file of a vocabulary's embeddings; its name follows all that they depend on."""
        encoder = f"{type(self).__module__}.{type(self).__qualname__}"
        tower = [self._fingerprint, self.tower.structure()]
        key = json.dumps([encoder, *tower, self.protocol(), vocabulary.words])
        digest = hashlib.sha256(key.encode()).hexdigest()[:32]
        return self._cache_dir / f"class_embeddings_{digest}.safetensors"

    def _embed_remembering(self, words: Sequence[Sequence[str]]) -> Tensor:
        """As :meth:`embed`; a word that was embedded before is not embedded again.

        Who asks one question after another, each with the same words for the background, waits for
        the new words alone.
        """
        depends_on = (self.tower.positional_embedding.dtype, self.protocol())
        if len(self._rows) > _ROWS_KEPT or self._rows_of != depends_on:
            self._rows, self._rows_of = {}, depends_on
        flat = [*itertools.chain.from_iterable(words)]
        if new := tuple(word for word in dict.fromkeys(flat) if word not in self._rows):
            self._rows |= zip(new, self._word_rows(self._tokens_of(new), self.encode).cpu())
        rows = torch.stack([self._rows[word] for word in flat])
        return self._of_classes(rows.to(self.tower.positional_embedding.device), words)

    def embed(self, words: Sequence[Sequence[str]]) -> Tensor:
        """Embed words without a cache: for each class its synonyms -> ``(C, D)``, unit rows."""
        tokens = self._tokens_of(tuple(itertools.chain.from_iterable(words)))
        return self._of_classes(self._word_rows(tokens, self.encode), words)

    @torch.no_grad()
    def embed_by_clip(self, words: Sequence[Sequence[str]]) -> Tensor:
        """As :meth:`embed`, by CLIP alone: without what a subclass has learned."""
        flat = [*itertools.chain.from_iterable(words)]
        tokens = self.tower.without_padding(TextEncoder.tokenize(self, flat))
        device = self.tower.positional_embedding.device
        return self._of_classes(self._word_rows(tokens.to(device), self.tower), words)

    def _word_rows(self, tokens: Tensor, encode: Callable[[Tensor], Tensor]) -> Tensor:
        """Unit rows of W words, ``(W, D)``: the mean over the templates, which tokens are in."""
        with torch.autocast(tokens.device.type, enabled=False):
            parts = [encode(part) for part in tokens.split(self.texts_at_once)]
        rows = torch.cat(parts).float().unflatten(0, (-1, len(self.templates)))
        return F.normalize(rows.mean(dim=1), dim=-1)

    @staticmethod
    def _of_classes(rows: Tensor, words: Sequence[Sequence[str]]) -> Tensor:
        """Class embeddings of word rows: per class the mean, where a sum points, too."""
        if len(rows) == len(words):
            return rows
        counts = torch.tensor([len(synonyms) for synonyms in words], device=rows.device)
        owners = torch.arange(len(words), device=rows.device).repeat_interleave(counts)
        sums = rows.new_zeros(len(words), rows.shape[1]).index_add(0, owners, rows)
        return F.normalize(sums, dim=-1)

    def encode(self, tokens: Tensor) -> Tensor:
        """Token ids ``(N, L)``, N at most ``texts_at_once`` -> unit rows ``(N, D)``."""
        return self.tower(tokens)

    def tokenize(self, words: Sequence[str]) -> Tensor:
        """Token ids of every word in every template, ``(W * templates, L)``; warns of a cut."""
        self._warn_of_cuts(words)
        return self.tokenizer(self._texts(words), context_length=self.max_tokens)

    def _warn_of_cuts(self, words: Sequence[str]) -> None:
        if cut := self.too_long(words):
            warnings.warn(
                f"{cut[0]!r} does not fit into the text tower's context of {self.max_tokens} "
                "tokens and is cut: use a shorter name or template",
                stacklevel=2,
            )

    def too_long(self, words: Sequence[str]) -> list[str]:
        """The words of which the text tower sees only a part in some template."""
        longest = max(len(template.encode()) for template in self.templates)
        # (A text has at most a token a byte, beside its start and end, and a token has few bytes.
        # Only words between these bounds are tokenized: the time for it is quadratic.)
        most = _LONGEST_TOKEN * self.max_tokens
        sizes = {word: len(word.encode()) for word in words}
        cut = {word: n > most for word, n in sizes.items() if n + longest > self.max_tokens}
        if unsure := [word for word, is_cut in cut.items() if not is_cut]:
            tokens = self.tokenizer(self._texts(unsure), context_length=self.max_tokens + 1)
            padding = self.tokenizer([""])[0, -1]
            in_some = (tokens[:, -1] != padding).view(len(unsure), len(self.templates)).any(dim=1)
            cut |= zip(unsure, in_some.tolist())
        return [word for word, is_cut in cut.items() if is_cut]

    @property
    def max_tokens(self) -> int:
        """Tokens that a text may have, its start and end included."""
        return self.tower.positional_embedding.shape[0]

    def protocol(self) -> dict[str, Any]:
        """Settings that a reported number and the cached embeddings depend on.

        A subclass adds its own settings that change the embeddings.
        """
        return {"templates": list(self.templates)}

    def _texts(self, words: Sequence[str]) -> list[str]:
        return [template.replace("{}", word) for word in words for template in self.templates]

    def _tokens_of(self, words: tuple[str, ...]) -> Tensor:
        """Token ids; the last ones are kept: training asks for the same words in every step."""
        device = self.tower.positional_embedding.device
        if self._last_tokens is None or self._last_tokens[0] != words:
            with torch.inference_mode(False):  # may be used in training later
                tokens = self.tower.without_padding(self.tokenize(words))
                # (Kept on the device: a copy would synchronise with the GPU in every step.)
                self._last_tokens = words, tokens.to(device)
        return self._last_tokens[1].to(device)
