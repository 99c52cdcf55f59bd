"""ZegCLIP's head: relationship descriptor and attention-to-mask decoder."""

from __future__ import annotations

from typing import Any

from mmseg.registry import MODELS
from torch import Tensor

from .atm_decoder import ATTENTION_MEANING, ATMDecoder
from .base import HeadOutput, ZeroShotHead
from .layers import RelationshipDescriptor, match


@MODELS.register_module()
class ATMHead(ZeroShotHead):
    """One ATM decoder whose queries are class embeddings described by the image.

    Source: ZegCLIP, Sec. 3.2 and 3.3.

    Args:
        embed_dims: D.
        decoder: arguments of :class:`ATMDecoder`, such as ``dict(num_layers=3)``.
        kwargs: see :class:`ZeroShotHead`.

    Example:
        >>> head = ATMHead(512)
        >>> V, g, T = torch.randn(2, 512, 32, 32), torch.randn(2, 512), torch.randn(20, 512)
        >>> head(V, g, T).mask_logits.shape
        torch.Size([2, 20, 32, 32])
    """

    attention_meaning = ATTENTION_MEANING

    def __init__(
        self, embed_dims: int, decoder: dict[str, Any] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(embed_dims, **kwargs)
        self.relationship_descriptor = RelationshipDescriptor(embed_dims)
        self.decoder = ATMDecoder(embed_dims, **(decoder or {}))

    def start_aligned(self, gain: float) -> None:
        self.relationship_descriptor.pass_class_embeddings()
        self.decoder.mask_attention.compare_directly(gain)

    def forward(
        self, patch_embeddings: Tensor, cls_embedding: Tensor, class_embeddings: Tensor
    ) -> HeadOutput:
        # What the image says of each class name,
        matched = match(class_embeddings, cls_embedding)
        queries = self.relationship_descriptor(matched, class_embeddings)
        # asks the patches where it is.
        return HeadOutput(self.decoder(queries, patch_embeddings))
