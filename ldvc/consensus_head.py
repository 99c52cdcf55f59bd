"""LDVC's head: text adapter and local-consensus decoder."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

from mmseg.registry import MODELS
from torch import Tensor

from zegclip.heads import (
    CONSENSUS,
    HeadOutput,
    RegionRoutes,
    RelationshipDescriptor,
    ZeroShotHead,
    match,
)

from .consensus_decoder import ORDER, ConsensusDecoder


@MODELS.register_module()
class ConsensusHead(ZeroShotHead):
    """Class embeddings adapted to the image guide its patches to a consensus.

    The text adapter T_new = Linear([T * g ; T]) is ZegCLIP's relationship descriptor (a secondary
    source). Loss and inference are ZegCLIP's (inferred).

    Source: LDVC (text adapter, local-consensus decoder); see ldvc/README.md for what is inferred.

    Args:
        embed_dims: D.
        num_layers: decoder layers.
        num_heads: attention heads.
        feedforward_channels: hidden width of the decoder's feed-forward networks.
        dropout: rate in the decoder.
        num_regions: p, regions a side in the route attention.
        topk: k, regions that a region attends to.
        routing: ``"detached"`` or ``"differentiable"`` routes.
        local_kernel: side of the depthwise local enhancement; 0: none.
        local_consensus: ``False`` leaves LCSA out (the paper's ablation).
        order: of the steps in a decoder layer.
        masks: ``"attention"`` or ``"cosine"``.
        temperature: of ``masks="cosine"``.
        kwargs: see :class:`ZeroShotHead`.
    """

    figures = frozenset({CONSENSUS})

    def __init__(
        self,
        embed_dims: int,
        num_layers: int = 3,
        num_heads: int = 8,
        feedforward_channels: int = 2048,
        dropout: float = 0.1,
        num_regions: int = 8,
        topk: int = 16,
        routing: str = "detached",
        local_kernel: int = 0,
        local_consensus: bool = True,
        order: Sequence[str] = ORDER,
        masks: str = "attention",
        temperature: float = 0.07,
        **kwargs: Any,
    ) -> None:
        super().__init__(embed_dims, **kwargs)
        self.text_adapter = RelationshipDescriptor(embed_dims)
        route: dict[str, Any] = {
            "num_regions": num_regions,
            "topk": topk,
            "routing": routing,
            "local_kernel": local_kernel,
            "local_consensus": local_consensus,
        }
        layout: dict[str, Any] = {"order": tuple(order), "masks": masks}
        self.decoder = ConsensusDecoder(
            embed_dims,
            num_layers=num_layers,
            num_heads=num_heads,
            feedforward_channels=feedforward_channels,
            dropout=dropout,
            temperature=temperature,
            **route,
            **layout,
        )
        # No weight tells these from each other, but the masks depend on them.
        self._decoder_protocol = route | layout

    def start_aligned(self, gain: float) -> None:
        self.text_adapter.pass_class_embeddings()
        if self.decoder.mask_attention is not None:  # a cosine is aligned already
            self.decoder.mask_attention.compare_directly(gain)

    def forward(
        self, patch_embeddings: Tensor, cls_embedding: Tensor, class_embeddings: Tensor
    ) -> HeadOutput:
        return HeadOutput(
            self.decoder(patch_embeddings, self._adapt(cls_embedding, class_embeddings))
        )

    def _adapt(self, cls_embedding: Tensor, class_embeddings: Tensor) -> Tensor:
        """T_new, ``(B, C, D)``."""
        return self.text_adapter(match(class_embeddings, cls_embedding), class_embeddings)

    @property
    def attention_meaning(self) -> str:  # type: ignore[override]
        if self.decoder.mask_attention is None:
            return "cosine of patch and class in the last decoder layer (softmax over classes)"
        return (
            "attention of the patches to the class in the last cross-attention (logits, mean over "
            "heads; softmax over classes)"
        )

    def attention_maps(self, output: HeadOutput) -> Tensor:
        """As in :class:`ZeroShotHead`; here patches attend to classes, so each patch's sum is 1."""
        return output.mask_logits.float().softmax(dim=1)

    def region_routes(
        self, patch_embeddings: Tensor, cls_embedding: Tensor, class_embeddings: Tensor
    ) -> RegionRoutes:
        adapted = self._adapt(cls_embedding, class_embeddings)
        return self.decoder.region_routes(patch_embeddings, adapted)

    def without_region_attention(self) -> AbstractContextManager[None]:
        return self.decoder.without_local_consensus()

    def protocol(self, inductive: bool) -> dict[str, Any]:
        return {**super().protocol(inductive), "decoder": self._decoder_protocol}
