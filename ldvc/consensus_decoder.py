"""Local-consensus decoder: visual features move toward the fixed class embeddings.

The opposite direction of ZegCLIP's decoder, whose class tokens move toward the image.

Source: LDVC (local-consensus transformer decoder; class embeddings are anchors); numbers of layers
and heads, post-norm and the order within a layer are inferred.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from zegclip.errors import InputError
from zegclip.heads import AttentionLogits, CrossAttention

from .route_attention import RouteAttention

ORDER = ("local_consensus", "cross_attention", "feed_forward")
MASKS = ("attention", "cosine")


class ConsensusLayer(nn.Module):
    """``V <- LN(V + step(V))`` for each of its steps.

    Args:
        embed_dims: D.
        num_heads: attention heads of both attentions.
        feedforward_channels: hidden width of the feed-forward network.
        dropout: rate of the residual branches and inside the feed-forward network.
        route: further arguments of :class:`RouteAttention`.
        steps: of ``local_consensus`` (LCSA, route attention among the patches),
            ``cross_attention`` (patches query class embeddings) and ``feed_forward``, in the order
            in which they are done.
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        feedforward_channels: int,
        dropout: float,
        route: dict[str, Any],
        steps: Sequence[str] = ORDER,
    ) -> None:
        super().__init__()
        self.steps = tuple(steps)
        if "local_consensus" in steps:
            self.local_consensus = RouteAttention(embed_dims, num_heads, **route)
        if "cross_attention" in steps:
            self.cross_attention = CrossAttention(embed_dims, num_heads)
        if "feed_forward" in steps:
            self.feed_forward = nn.Sequential(
                nn.Linear(embed_dims, feedforward_channels),
                nn.ReLU(inplace=True),
                nn.Dropout(dropout),
                nn.Linear(feedforward_channels, embed_dims),
            )
        self.norms = nn.ModuleDict({step: nn.LayerNorm(embed_dims) for step in steps})
        self.dropout = nn.Dropout(dropout)

    def forward(self, patches: Tensor, class_embeddings: Tensor, grid: tuple[int, int]) -> Tensor:
        """Update the patches; the class embeddings stay.

        Args:
            patches: V, ``(B, h * w, D)``.
            class_embeddings: T_new, ``(B, C, D)``.
            grid: (h, w).

        Returns:
            ``(B, h * w, D)``.
        """
        for step in self.steps:
            if step == "local_consensus":
                update = self.local_consensus(patches, grid)
            elif step == "cross_attention":
                update = self.cross_attention(patches, class_embeddings)
            else:
                update = self.feed_forward(patches)
            patches = self.norms[step](patches + self.dropout(update))
        return patches


class ConsensusDecoder(nn.Module):
    """A stack of :class:`ConsensusLayer`, and the masks.

    With ``masks="attention"`` the masks are the logits of the last layer's cross attention, patches
    asking class embeddings, and that layer ends there: what would follow has no effect on a mask.
    So three layers in the default order are two whole ones and an LCSA before the masks.

    Args:
        embed_dims: D.
        num_layers: depth (3: inferred).
        num_heads: attention heads (8: inferred).
        feedforward_channels: hidden width (2048: inferred).
        dropout: rate (0.1: inferred).
        regions_per_side: p of the route attention (8: inferred).
        topk: k of the route attention (16: inferred).
        routing: of the route attention.
        local_kernel: of the route attention.
        local_consensus: ``False`` leaves LCSA out of all layers (the paper's ablation).
        order: of a layer's steps.
        masks: ``"attention"`` (a secondary source: masks almost as in ZegCLIP) or ``"cosine"``,
            that of the last layer's patches and T_new, over ``temperature`` (ours).
        temperature: of ``masks="cosine"``.

    Example:
        >>> decoder = ConsensusDecoder(512, regions_per_side=8, topk=16)
        >>> decoder(torch.randn(2, 512, 32, 32), torch.randn(2, 20, 512)).shape
        torch.Size([2, 20, 32, 32])
    """

    def __init__(
        self,
        embed_dims: int,
        num_layers: int = 3,
        num_heads: int = 8,
        feedforward_channels: int = 2048,
        dropout: float = 0.1,
        regions_per_side: int = 8,
        topk: int = 16,
        routing: str = "detached",
        local_kernel: int = 0,
        local_consensus: bool = True,
        order: Sequence[str] = ORDER,
        masks: str = "attention",
        temperature: float = 0.07,
    ) -> None:
        super().__init__()
        if num_layers < 1:
            raise InputError(f"num_layers={num_layers} must be at least 1")
        if isinstance(order, str) or sorted(order) != sorted(ORDER):
            raise InputError(f"order={order!r} must hold each of {', '.join(ORDER)} once")
        if masks not in MASKS:
            raise InputError(f"masks={masks!r} is not one of {', '.join(MASKS)}")
        self.temperature = temperature
        route = {
            "regions_per_side": regions_per_side,
            "topk": topk,
            "routing": routing,
            "local_kernel": local_kernel,
        }
        steps = [step for step in order if local_consensus or step != "local_consensus"]
        last_steps = steps[: steps.index("cross_attention")] if masks == "attention" else steps
        self.layers = nn.ModuleList(
            ConsensusLayer(embed_dims, num_heads, feedforward_channels, dropout, route, each)
            for each in [*[steps] * (num_layers - 1), last_steps]
        )
        if local_consensus and not self.has_local_consensus:
            raise InputError(
                f"with num_layers=1 and order={tuple(order)} the masks are made before any "
                "local_consensus: use more layers, another order, masks='cosine', or "
                "local_consensus=False"
            )
        self.mask_attention = (
            AttentionLogits(embed_dims, num_heads) if masks == "attention" else None
        )
        # What no weight shows, but the masks depend on.
        self._settings = {
            **route,
            "local_consensus": local_consensus,
            "order": tuple(order),
            "masks": masks,
            **({"temperature": temperature} if masks == "cosine" else {}),
        }

    def forward(self, patch_embeddings: Tensor, class_embeddings: Tensor) -> Tensor:
        """Decode masks.

        Args:
            patch_embeddings: V, ``(B, D, h, w)``.
            class_embeddings: T_new, ``(B, C, D)``.

        Returns:
            Mask logits, ``(B, C, h, w)``.
        """
        grid = (patch_embeddings.shape[-2], patch_embeddings.shape[-1])
        patches = patch_embeddings.flatten(2).transpose(1, 2)
        # The patches agree with each other and move toward the class embeddings,
        for layer in self.layers:
            patches = layer(patches, class_embeddings, grid)
        # and the masks say how near each has come to which.
        if self.mask_attention is not None:
            logits = self.mask_attention(patches, class_embeddings)
        else:
            directions = F.normalize(class_embeddings, dim=-1).transpose(1, 2)
            logits = F.normalize(patches, dim=-1) @ directions / self.temperature
        return logits.transpose(1, 2).unflatten(2, grid)

    def protocol(self) -> dict[str, Any]:
        """The choices that a reported number depends on."""
        return dict(self._settings)

    @property
    def has_local_consensus(self) -> bool:
        """Whether a layer has LCSA."""
        return any("local_consensus" in layer.steps for layer in self.layers)

    def consensus_layers(self) -> list[ConsensusLayer]:
        """The layers with LCSA.

        Raises:
            InputError: there is none.
        """
        if not self.has_local_consensus:
            raise InputError(
                "this model has local_consensus=False: no region of the image attends to another"
            )
        return [layer for layer in self.layers if "local_consensus" in layer.steps]

    @contextmanager
    def without_local_consensus(self) -> Iterator[None]:
        """Within, all layers leave their LCSA out (a model trained with it is then tested without).

        Raises:
            InputError: there is no LCSA.
        """
        layers = self.consensus_layers()
        steps = [layer.steps for layer in layers]
        try:
            for layer in layers:
                layer.steps = tuple(step for step in layer.steps if step != "local_consensus")
            yield
        finally:
            for layer, own in zip(layers, steps, strict=True):
                layer.steps = own
