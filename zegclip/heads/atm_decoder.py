"""Attention-to-mask decoder: class tokens query the patch embeddings; their attention is the mask.

Source: SegViT, Sec. 3.2 (ATM); ZegCLIP, Sec. 3.2 (one decoder, class embeddings as queries).
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from zegclip.errors import InputError

from .layers import AttentionLogits, CrossAttention

# What a softmax of the masks over the patches is, for a figure's caption.
ATTENTION_MEANING = (
    "attention of the class token over the patches in the last decoder layer (logits, mean over "
    "heads; softmax over patches)"
)


class ATMDecoderLayer(nn.Module):
    """Post-norm layer: cross attention, then a feed-forward network.

    Args:
        embed_dims: D.
        num_heads: attention heads.
        feedforward_channels: hidden width of the feed-forward network.
        dropout: rate of the attention weights, of both residual branches and inside the
            feed-forward network (published code).
    """

    def __init__(
        self, embed_dims: int, num_heads: int, feedforward_channels: int, dropout: float
    ) -> None:
        super().__init__()
        self.cross_attention = CrossAttention(embed_dims, num_heads, dropout)
        self.attention_norm = nn.LayerNorm(embed_dims)
        self.feedforward_in = nn.Linear(embed_dims, feedforward_channels)
        self.feedforward_out = nn.Linear(feedforward_channels, embed_dims)
        self.feedforward_norm = nn.LayerNorm(embed_dims)
        self.dropout = nn.Dropout(dropout)

    def forward(self, class_tokens: Tensor, patch_tokens: Tensor) -> Tensor:
        """``(B, C, D)`` and ``(B, N, D)`` -> ``(B, C, D)``."""
        attended = self.cross_attention(class_tokens, patch_tokens)
        class_tokens = self.attention_norm(class_tokens + self.dropout(attended))
        hidden = self.dropout(F.relu(self.feedforward_in(class_tokens)))
        return self.feedforward_norm(class_tokens + self.dropout(self.feedforward_out(hidden)))


class ATMDecoder(nn.Module):
    """A stack of layers, of which the last one is only the attention whose logits are the masks.

    Args:
        embed_dims: D.
        num_layers: depth, the mask attention included (3 in the papers).
        num_heads: attention heads (8).
        feedforward_channels: hidden width (2048).
        dropout: rate (0.1).

    Example:
        >>> decoder = ATMDecoder(512)
        >>> decoder(torch.randn(2, 20, 512), torch.randn(2, 512, 32, 32)).shape
        torch.Size([2, 20, 32, 32])
    """

    def __init__(
        self,
        embed_dims: int,
        num_layers: int = 3,
        num_heads: int = 8,
        feedforward_channels: int = 2048,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        if num_layers < 1:
            raise InputError(f"num_layers={num_layers} must be at least 1")
        self.layers = nn.ModuleList(
            ATMDecoderLayer(embed_dims, num_heads, feedforward_channels, dropout)
            for _ in range(num_layers - 1)
        )
        self.mask_attention = AttentionLogits(embed_dims, num_heads)

    def forward(self, class_tokens: Tensor, patch_embeddings: Tensor) -> Tensor:
        """Decode masks.

        Args:
            class_tokens: queries, ``(B, C, D)``.
            patch_embeddings: V, ``(B, D, H, W)``.

        Returns:
            Mask logits, ``(B, C, H, W)``.
        """
        patch_tokens = patch_embeddings.flatten(2).transpose(1, 2)
        # The class tokens gather what the image shows of them,
        for layer in self.layers:
            class_tokens = layer(class_tokens, patch_tokens)
        # and what they attend to in the end is where they are.
        logits = self.mask_attention(class_tokens, patch_tokens)
        return logits.unflatten(-1, patch_embeddings.shape[-2:])
