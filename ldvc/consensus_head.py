"""LDVC's head: text adapter and local-consensus decoder."""

from __future__ import annotations

from typing import Any

from mmseg.registry import MODELS
from torch import Tensor

from zegclip.heads import HeadOutput, RelationshipDescriptor, ZeroShotHead, match

from .consensus_decoder import ConsensusDecoder


@MODELS.register_module()
class ConsensusHead(ZeroShotHead):
    """Class embeddings adapted to the image guide its patches to a consensus.

    The text adapter T_new = Linear([T * g ; T]) is ZegCLIP's relationship descriptor (a secondary
    source). Loss and inference are ZegCLIP's (inferred).

    Source: LDVC (text adapter, local-consensus decoder); see ldvc/README.md for what is inferred.

    Args:
        embed_dims: D.
        decoder: arguments of :class:`ConsensusDecoder`, such as ``dict(topk=16)``.
        kwargs: see :class:`~zegclip.heads.ZeroShotHead`.

    Example:
        >>> head = ConsensusHead(512, decoder=dict(regions_per_side=8, topk=16))
        >>> V, g, T = torch.randn(2, 512, 32, 32), torch.randn(2, 512), torch.randn(20, 512)
        >>> head(V, g, T).mask_logits.shape
        torch.Size([2, 20, 32, 32])
    """

    def __init__(
        self, embed_dims: int, decoder: dict[str, Any] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(embed_dims, **kwargs)
        self.text_adapter = RelationshipDescriptor(embed_dims)
        self.decoder = ConsensusDecoder(embed_dims, **(decoder or {}))

    def start_aligned(self, gain: float) -> None:
        self.text_adapter.pass_class_embeddings()
        if self.decoder.mask_attention is not None:  # a cosine is aligned already
            self.decoder.mask_attention.compare_directly(gain)

    def forward(
        self, patch_embeddings: Tensor, cls_embedding: Tensor, class_embeddings: Tensor
    ) -> HeadOutput:
        # T_new, the anchors: class embeddings adapted to the image.
        matched = match(class_embeddings, cls_embedding)
        anchors = self.text_adapter(matched, class_embeddings)
        # The patches move toward them; they stay.
        return HeadOutput(self.decoder(patch_embeddings, anchors))

    @property
    def attention_meaning(self) -> str:  # type: ignore[override]
        if self.decoder.mask_attention is None:
            return "cosine of patch and class in the last decoder layer (softmax over classes)"
        return (
            "attention of the patches to the class in the last cross-attention (logits, mean over "
            "heads; softmax over classes)"
        )

    def attention(self, output: HeadOutput) -> Tensor:
        """As the base's; here patches attend to classes, so each patch's sum is 1."""
        return output.mask_logits.float().softmax(dim=1)

    def protocol(self, inductive: bool) -> dict[str, Any]:
        return {**super().protocol(inductive), "decoder": self.decoder.protocol()}
