"""Language prompts: learnable tokens before every block of the frozen text tower."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from zegclip.clip import LoadedClip, TextEncoder, run_block
from zegclip.compat import ImportedLater
from zegclip.errors import InputError
from zegclip.vocabulary import Vocabulary

open_clip = ImportedLater("open_clip")


@MODELS.register_module()
class PromptedTextEncoder(TextEncoder):
    """CLIP's text tower, frozen, with language prompts in the place of the template's words.

    In every prompted layer the m tokens after the start token are replaced by learnable ones. Their
    initial values are the tower's own hidden states of the template there: text attention is
    causal, so they are the same for every class, and at step 0 the class embeddings are plain
    CLIP's. The tower runs in every training step, once for the whole batch, and what comes before
    the name once for all names. With ``num_prompts=0`` nothing is learned, and it is a
    :class:`TextEncoder`.

    Source: LDVC (deep learnable prompts in the text encoder); their initial values: a secondary
    source; that they take the place of the template's words, so m = 4 for "a photo of a": inferred.

    Args:
        clip: a loaded CLIP, or the arguments of :func:`~zegclip.clip.load_clip`.
        templates: with prompts, one template, with its words before the ``{}``.
        num_prompts: m, prompts per layer.
        prompt_depth: how many layers get prompts of their own; ``None``: all.
        prompt_init: ``"template"``, or ``"random"`` (normal, standard deviation 0.02: inferred).
            Random prompts may be more than the template has words.
        texts_at_once: as in :class:`TextEncoder`; ``cache_dir`` (used without prompts only) and
            ``init_cfg`` as well.
        checkpoint_activations: compute the tower's activations again in the backward pass instead
            of keeping them; for vocabularies of many hundred classes on a small GPU.

    Attributes:
        language_prompts: ``(prompt_depth, m, width)``.

    Example:
        >>> encoder = PromptedTextEncoder(clip)
        >>> encoder(Vocabulary(classes=("cat", "grass"))).requires_grad
        True
    """

    def __init__(
        self,
        clip: dict[str, Any] | LoadedClip,
        templates: str | Sequence[str] = "single",
        num_prompts: int = 4,
        prompt_depth: int | None = None,
        prompt_init: str = "template",
        texts_at_once: int = 256,
        checkpoint_activations: bool = False,
        cache_dir: str | Path | None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(clip, templates, cache_dir, texts_at_once, init_cfg)
        depth = len(self.tower.transformer.resblocks)
        self.num_prompts = num_prompts
        self.prompt_depth = depth if prompt_depth is None else prompt_depth
        self.checkpoint_activations = checkpoint_activations
        self._num_words = self._num_extra = 0  # words before the name, and prompts beyond these
        if not 1 <= self.prompt_depth <= depth:
            raise InputError(
                f"prompt_depth={prompt_depth} must be between 1 and the text tower's {depth} blocks"
            )
        if prompt_init not in ("template", "random"):
            raise InputError(f"prompt_init={prompt_init!r} is not one of template, random")
        if self.learns:
            self._add_prompts(prompt_init)

    @property
    def learns(self) -> bool:  # type: ignore[override]
        """Whether there are prompts."""
        return self.num_prompts > 0

    def _add_prompts(self, prompt_init: str) -> None:
        self._check_prompts_fit()
        before_name = self.templates[0].partition("{}")[0]
        tokens = self.tokenizer([before_name])
        self._num_words = int((tokens != 0).sum()) - 2  # without the start and end token
        self._num_extra = max(0, self.num_prompts - self._num_words)
        positions = self.tower.positional_embedding
        if prompt_init == "random":
            shape = (self.prompt_depth, self.num_prompts, positions.shape[1])
            start = 0.02 * torch.randn(shape, device=positions.device)
        elif self._num_extra:
            raise InputError(
                f"num_prompts={self.num_prompts}, but {before_name!r} has only {self._num_words} "
                "tokens to start them from: use fewer, a longer template, or prompt_init='random'"
            )
        else:
            start = self._template_states(tokens[:, : 1 + self._num_words].to(positions.device))
        self.language_prompts = nn.Parameter(start)

    def _check_prompts_fit(self) -> None:
        """Refuse templates, towers and tokenizers in which no prompts can take words' places."""
        if len(self.templates) > 1:
            raise InputError(
                f"language prompts take the place of one template's words, but templates has "
                f"{len(self.templates)}: set templates='single' or a list of one, or num_prompts=0"
            )
        if self.tower.attn_mask is None:
            raise InputError(
                "language prompts need a causal text tower, as CLIP's; this one's words all see "
                "each other: set num_prompts=0"
            )
        if not isinstance(self.tokenizer, open_clip.SimpleTokenizer):
            raise InputError(
                "language prompts need CLIP's own tokenizer, whose padding they count on; this "
                "CLIP has another: set num_prompts=0"
            )
        before_name = self.templates[0].partition("{}")[0]
        if before_name and not before_name[-1].isspace():
            raise InputError(
                f"language prompts take the place of the words before the name, but in "
                f"{self.templates[0]!r} no space parts them from it"
            )

    @torch.no_grad()
    def _template_states(self, tokens: Tensor) -> Tensor:
        """Hidden states of the template at the prompts' places, before each prompted block.

        Args:
            tokens: ids of the start token and of the words before the name, ``(1, 1 + words)``.

        Returns:
            ``(prompt_depth, m, width)``.
        """
        states: list[Tensor] = []
        hidden, mask = self.tower.embed(tokens), self._mask(0, tokens.shape[1])
        for block in self.tower.transformer.resblocks[: self.prompt_depth]:
            states.append(hidden[0, 1 : 1 + self.num_prompts])
            hidden = run_block(block, hidden, attn_mask=mask)
        return torch.stack(states)

    def forward(self, vocabulary: Vocabulary) -> Tensor:
        """As :meth:`TextEncoder.forward`, with gradient to the prompts."""
        return self.embed(vocabulary.words) if self.learns else super().forward(vocabulary)

    def protocol(self) -> dict[str, Any]:
        return {**super().protocol(), "language_prompts": self.num_prompts}

    @property
    def max_tokens(self) -> int:
        return super().max_tokens - self._num_extra

    def tokenize(self, words: Sequence[str]) -> Tensor:
        tokens = super().tokenize(words)
        # More prompts than words: the last word's id is repeated to hold their places.
        words_end = 1 + self._num_words
        places = tokens[:, words_end - 1 : words_end].expand(-1, self._num_extra)
        return torch.cat([tokens[:, :words_end], places, tokens[:, words_end:]], dim=1)

    def encode(self, tokens: Tensor) -> Tensor:
        if not self.learns:
            return super().encode(tokens)
        run = self._run_prompted
        if self.checkpoint_activations and torch.is_grad_enabled():
            hidden = checkpoint(run, tokens, use_reentrant=False)
        else:
            hidden = run(tokens)
        return self.tower.project(hidden, tokens[:, self._num_shared :])

    @property
    def _num_shared(self) -> int:
        """Tokens that come before the name: the start token, prompts, and words left over."""
        return 1 + self._num_words + self._num_extra

    def _run_prompted(self, tokens: Tensor) -> Tensor:
        """The last block's output for the names' tokens, ``(N, L - shared, width)``.

        What comes before the names is the same for all of them, and does not see them: it goes
        through the tower once, not N times.
        """
        shared, length = self._num_shared, tokens.shape[1]
        hidden = self.tower.embed(tokens)
        prefix, names = hidden[:1, :shared], hidden[:, shared:]
        for index, block in enumerate(self.tower.transformer.resblocks):
            if index < self.prompt_depth:
                # This layer's prompts take the place of what the last made of its own.
                prompts = self.language_prompts[index : index + 1]
                rest = prefix[:, 1 + self.num_prompts :]
                prefix = torch.cat([prefix[:, :1], prompts, rest], dim=1)
            names = run_block(block, names, prefix, self._mask(shared, length))
            prefix = run_block(block, prefix, attn_mask=self._mask(0, shared))
        return names

    def _mask(self, first: int, last: int) -> Tensor:
        """The causal mask of the tokens from ``first`` to ``last``, ``(last - first, last)``."""
        assert self.tower.attn_mask is not None
        return self.tower.attn_mask[first:last, :last]
