"""CLIP's text tower by itself, without the image tower that open_clip keeps beside it."""

from __future__ import annotations

import torch.nn.functional as F
from open_clip.transformer import text_global_pool
from torch import Tensor, nn


class TextTower(nn.Module):
    """The text half of an open_clip CLIP; its modules, not copies.

    Args:
        clip: open_clip's model.
    """

    attn_mask: Tensor

    def __init__(self, clip: nn.Module) -> None:
        super().__init__()
        self.token_embedding = clip.token_embedding
        self.positional_embedding = clip.positional_embedding
        self.transformer = clip.transformer
        self.ln_final = clip.ln_final
        self.text_projection = clip.text_projection
        self.pool_type = clip.text_pool_type
        self.eos_id = getattr(clip, "text_eos_id", None)
        self.register_buffer("attn_mask", clip.attn_mask, persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Encode texts: token ids ``(N, L)`` -> unit rows ``(N, D)``."""
        hidden = self.token_embedding(tokens) + self.positional_embedding
        hidden = self.transformer(hidden, attn_mask=self.attn_mask)
        return self.project(hidden, tokens)

    def project(self, hidden: Tensor, tokens: Tensor) -> Tensor:
        """From the last block's output ``(N, L, width)`` to unit rows ``(N, D)``."""
        pooled = text_global_pool(
            self.ln_final(hidden), tokens, self.pool_type, eos_token_id=self.eos_id
        )
        projection = self.text_projection
        if isinstance(projection, nn.Linear):
            pooled = projection(pooled)
        elif projection is not None:
            pooled = pooled @ projection
        return F.normalize(pooled, dim=-1)
