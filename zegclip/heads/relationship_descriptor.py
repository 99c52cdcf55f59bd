"""Relationship descriptor: what an image says about a class name."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


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
