"""CLIP's text tower by itself, without the image tower that open_clip keeps beside it."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from zegclip.compat import ImportedLater

from .block import run_block

open_clip = ImportedLater("open_clip")


class TextTower(nn.Module):
    """The text half of an open_clip CLIP; its modules, not copies.

    Args:
        clip: open_clip's model.
    """

    attn_mask: Tensor | None

    def __init__(self, clip: nn.Module) -> None:
        super().__init__()
        self.token_embedding = clip.token_embedding
        self.positional_embedding = clip.positional_embedding
        self.transformer = clip.transformer
        self.ln_final = clip.ln_final
        self.text_projection = clip.text_projection
        self.pool_type = clip.text_pool_type
        self.eos_id = getattr(clip, "text_eos_id", None)
        # (A CLIP that another model took to its device has its mask elsewhere: no buffer of CLIP.)
        mask = clip.attn_mask
        mask = mask if mask is None else mask.to(self.positional_embedding.device)
        self.register_buffer("attn_mask", mask, persistent=False)

    def structure(self) -> list[object]:
        """Settings that the weights do not determine: heads, pooling, causal or not."""
        heads = self.transformer.resblocks[0].attn.num_heads
        return [heads, self.pool_type, self.eos_id, self.attn_mask is not None]

    def forward(self, tokens: Tensor) -> Tensor:
        """Encode texts: token ids ``(N, L)`` -> unit rows ``(N, D)``."""
        hidden, length = self.embed(tokens), tokens.shape[1]
        mask = None if self.attn_mask is None else self.attn_mask[:length, :length]
        for block in self.transformer.resblocks:
            hidden = run_block(block, hidden, attn_mask=mask)
        return self.project(hidden, tokens)

    def without_padding(self, tokens: Tensor) -> Tensor:
        """Token ids ``(N, L)`` up to the longest text's end, if that changes no embedding.

        It changes none if attention is causal and the text's embedding is its end token's.
        """
        if self.attn_mask is None or self.pool_type not in ("argmax", "eos"):
            return tokens
        return tokens[:, : int((tokens != 0).any(dim=0).nonzero().max()) + 1]

    def embed(self, tokens: Tensor) -> Tensor:
        """The first block's input: token ids ``(N, L)`` -> ``(N, L, width)``."""
        return self.token_embedding(tokens) + self.positional_embedding[: tokens.shape[1]]

    def project(self, hidden: Tensor, tokens: Tensor) -> Tensor:
        """From the last block's output ``(N, L, width)`` to unit rows ``(N, D)``."""
        pooled = open_clip.transformer.text_global_pool(
            self.ln_final(hidden), tokens, self.pool_type, eos_token_id=self.eos_id
        )
        projection = self.text_projection
        if isinstance(projection, nn.Linear):
            pooled = projection(pooled)
        elif projection is not None:
            pooled = pooled @ projection
        return F.normalize(pooled, dim=-1)
