"""ZegCLIP's head: relationship descriptor and attention-to-mask decoder."""

from __future__ import annotations

from typing import Any

from mmseg.registry import MODELS
from torch import Tensor

from .atm_decoder import ATTENTION_MEANING, ATMDecoder
from .base import HeadOutput, ZeroShotHead
from .relationship_descriptor import RelationshipDescriptor, match


@MODELS.register_module()
class ATMHead(ZeroShotHead):
    """One ATM decoder whose queries are class embeddings described by the image.

    Source: ZegCLIP, Sec. 3.2 and 3.3.

    Args:
        embed_dims: D.
        num_layers: decoder layers.
        num_heads: attention heads.
        feedforward_channels: hidden width of the decoder's feed-forward networks.
        dropout: rate in the decoder.
        kwargs: see :class:`ZeroShotHead`.
    """

    attention_meaning = ATTENTION_MEANING

    def __init__(
        self,
        embed_dims: int,
        num_layers: int = 3,
        num_heads: int = 8,
        feedforward_channels: int = 2048,
        dropout: float = 0.1,
        **kwargs: Any,
    ) -> None:
        super().__init__(embed_dims, **kwargs)
        self.relationship_descriptor = RelationshipDescriptor(embed_dims)
        self.decoder = ATMDecoder(embed_dims, num_layers, num_heads, feedforward_channels, dropout)

    def start_aligned(self, gain: float) -> None:
        self.relationship_descriptor.pass_class_embeddings()
        self.decoder.layers[-1].cross_attention.compare_directly(gain)

    def forward(
        self, patch_embeddings: Tensor, cls_embedding: Tensor, class_embeddings: Tensor
    ) -> HeadOutput:
        matched = match(class_embeddings, cls_embedding)
        queries = self.relationship_descriptor(matched, class_embeddings)
        return HeadOutput(self.decoder(queries, patch_embeddings))
