"""Cross attention, and its logits, which are the masks of a decoder's last layer."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class AttentionLogits(nn.Module):
    """The query and key projections of a multi-head cross attention, without the rest.

    Args:
        embed_dims: D.
        num_heads: attention heads; must divide D.
    """

    def __init__(self, embed_dims: int, num_heads: int) -> None:
        super().__init__()
        if embed_dims % num_heads:
            raise ValueError(f"num_heads={num_heads} does not divide embed_dims={embed_dims}")
        self.num_heads = num_heads
        self.query = nn.Linear(embed_dims, embed_dims)
        self.key = nn.Linear(embed_dims, embed_dims)

    @torch.no_grad()
    def compare_directly(self, gain: float) -> None:
        """Add ``gain`` times the identity to the query and the key projection."""
        self.query.weight.diagonal().add_(gain)
        self.key.weight.diagonal().add_(gain)

    def attention_logits(self, queries: Tensor, context: Tensor) -> Tensor:
        """Pre-softmax attention ``Q K^T / sqrt(head_dim)``, mean over heads: the mask logits.

        Args:
            queries: ``(B, N, D)``.
            context: ``(B, M, D)``.

        Returns:
            ``(B, N, M)``.
        """
        query, key = self.query(queries), self.key(context)
        # The mean over heads of per-head products is one product over all D channels.
        scale = 1 / (self.num_heads * math.sqrt(query.shape[-1] // self.num_heads))
        return (query * scale) @ key.transpose(-2, -1)


class CrossAttention(AttentionLogits):
    """Multi-head cross attention with its own query, key, value and output projections.

    Args:
        embed_dims: D.
        num_heads: attention heads; must divide D.
    """

    def __init__(self, embed_dims: int, num_heads: int) -> None:
        super().__init__(embed_dims, num_heads)
        self.value = nn.Linear(embed_dims, embed_dims)
        self.output = nn.Linear(embed_dims, embed_dims)

    def _split_heads(self, tokens: Tensor) -> Tensor:
        return tokens.unflatten(-1, (self.num_heads, -1)).transpose(-3, -2)

    def forward(self, queries: Tensor, context: Tensor) -> Tensor:
        """Attend.

        Args:
            queries: ``(B, N, D)``.
            context: keys and values, ``(B, M, D)``.

        Returns:
            ``(B, N, D)``.
        """
        attended = F.scaled_dot_product_attention(
            self._split_heads(self.query(queries)),
            self._split_heads(self.key(context)),
            self._split_heads(self.value(context)),
        )
        return self.output(attended.transpose(-3, -2).flatten(-2))
