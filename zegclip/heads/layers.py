"""Layers that the heads of several methods share."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zegclip.errors import InputError


def match(class_embeddings: Tensor, cls_embedding: Tensor) -> Tensor:
    """``T * g``, every class embedding weighted by every image's embedding.

    Args:
        class_embeddings: T, ``(C, D)``.
        cls_embedding: g, ``(B, D)``.

    Returns:
        ``(B, C, D)``.
    """
    return class_embeddings[None] * cls_embedding[:, None]


class RelationshipDescriptor(nn.Module):
    """``Linear_{2D -> D}([T * g ; T])``: class embeddings matched with an image.

    Source: ZegCLIP, Sec. 3.3.

    Args:
        embed_dims: D.

    Example:
        >>> T, g = torch.randn(20, 512), torch.randn(2, 512)
        >>> RelationshipDescriptor(512)(match(T, g), T).shape
        torch.Size([2, 20, 512])
    """

    def __init__(self, embed_dims: int) -> None:
        super().__init__()
        self.embed_dims = embed_dims
        self.projection = nn.Linear(2 * embed_dims, embed_dims)

    @torch.no_grad()
    def pass_class_embeddings(self) -> None:
        """Add the identity on T, so that at the start classes are described by themselves."""
        self.projection.weight[:, self.embed_dims :].diagonal().add_(1)

    def forward(self, matched: Tensor, class_embeddings: Tensor) -> Tensor:
        """Describe every class by every image.

        Args:
            matched: ``T * g`` (see :func:`match`), ``(B, C, D)``.
            class_embeddings: T, ``(C, D)``.

        Returns:
            ``(B, C, D)``.
        """
        weight_matched, weight_own = self.projection.weight.split(self.embed_dims, dim=1)
        # The half that sees T alone is the same for every image: projected once, not B times.
        own = F.linear(class_embeddings, weight_own, self.projection.bias)
        return F.linear(matched, weight_matched) + own


class AttentionLogits(nn.Module):
    """The query and key projections of a multi-head cross attention: what makes the masks.

    Args:
        embed_dims: D.
        num_heads: attention heads; must divide D.

    Example:
        >>> AttentionLogits(512, 8)(torch.randn(2, 20, 512), torch.randn(2, 1024, 512)).shape
        torch.Size([2, 20, 1024])
    """

    def __init__(self, embed_dims: int, num_heads: int) -> None:
        super().__init__()
        _check_heads(embed_dims, num_heads)
        self.num_heads = num_heads
        self.query = nn.Linear(embed_dims, embed_dims)
        self.key = nn.Linear(embed_dims, embed_dims)

    @torch.no_grad()
    def compare_directly(self, gain: float) -> None:
        """Add ``gain`` times the identity to the query and the key projection."""
        self.query.weight.diagonal().add_(gain)
        self.key.weight.diagonal().add_(gain)

    def forward(self, queries: Tensor, context: Tensor) -> Tensor:
        """Pre-softmax attention ``Q K^T / sqrt(head_dim)``, mean over heads.

        Args:
            queries: ``(B, N, D)``.
            context: ``(B, M, D)``.

        Returns:
            ``(B, N, M)``.

        Source: SegViT, Sec. 3.2 (attention to mask).
        """
        query, key = self.query(queries), self.key(context)
        # The mean over heads of per-head products is one product over all D channels.
        scale = 1 / (self.num_heads * math.sqrt(query.shape[-1] // self.num_heads))
        return (query * scale) @ key.transpose(-2, -1)


class MultiHeadAttention(nn.Module):
    """The projections of a multi-head attention; subclasses say what attends to what.

    Args:
        embed_dims: D.
        num_heads: attention heads; must divide D.
        dropout: rate of the attention weights in training.
    """

    def __init__(self, embed_dims: int, num_heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        _check_heads(embed_dims, num_heads)
        self.num_heads = num_heads
        self.dropout = dropout
        self.query = nn.Linear(embed_dims, embed_dims)
        self.key = nn.Linear(embed_dims, embed_dims)
        self.value = nn.Linear(embed_dims, embed_dims)
        self.output = nn.Linear(embed_dims, embed_dims)

    def attend(
        self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None
    ) -> Tensor:
        """The attention between the projections.

        Args:
            query: ``(B, N, D)``.
            key: ``(B, M, D)``.
            value: ``(B, M, D)``.
            mask: broadcastable to ``(B, heads, N, M)``: bool, true where a query may attend, or
                float, added to the logits.
        """
        query, key, value = (self._split_heads(each) for each in (query, key, value))
        dropout = self.dropout if self.training else 0.0
        attended = F.scaled_dot_product_attention(query, key, value, mask, dropout)
        return attended.transpose(-3, -2).flatten(-2)

    def _split_heads(self, tokens: Tensor) -> Tensor:
        return tokens.unflatten(-1, (self.num_heads, -1)).transpose(-3, -2)


class CrossAttention(MultiHeadAttention):
    """Queries attend to a context.

    Example:
        >>> CrossAttention(512, 8)(torch.randn(2, 20, 512), torch.randn(2, 1024, 512)).shape
        torch.Size([2, 20, 512])
    """

    def forward(self, queries: Tensor, context: Tensor) -> Tensor:
        """Attend.

        Args:
            queries: ``(B, N, D)``.
            context: keys and values, ``(B, M, D)``.

        Returns:
            ``(B, N, D)``.
        """
        query, key, value = self.query(queries), self.key(context), self.value(context)
        return self.output(self.attend(query, key, value))


def _check_heads(embed_dims: int, num_heads: int) -> None:
    if embed_dims % num_heads:
        raise InputError(f"num_heads={num_heads} does not divide embed_dims={embed_dims}")
