"""A frozen transformer block of CLIP, without the work whose result nobody reads."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from open_clip.transformer import QuickGELU
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


def run_block(
    block: nn.Module, tokens: Tensor, prompts: Tensor | None = None, attn_mask: Tensor | None = None
) -> Tensor:
    """One of open_clip's residual attention blocks: attention, then feed-forward.

    Equal to ``block(torch.cat([tokens, prompts], dim=1))[:, :N]``. Its own way through
    ``nn.MultiheadAttention`` transposes batch-first tokens, which turns each projection into
    products of B rows; and what prompts ask and become is not needed where the next block gets
    others: they are keys and values only.

    Args:
        block: frozen.
        tokens: ``(B, N, width)``.
        prompts: seen by the tokens, ``(B, n, width)`` or ``(1, n, width)``.
        attn_mask: added to the attention logits of the tokens, ``(N, N)``; not with prompts.

    Returns:
        ``(B, N, width)``.
    """
    seen = None if prompts is None else block.ln_1(prompts)
    attended = _attend(block.attn, block.ln_1(tokens), seen, attn_mask)
    tokens = tokens + block.ls_1(attended)
    hidden = block.mlp.c_fc(block.ln_2(tokens))
    quick = isinstance(block.mlp.gelu, QuickGELU)
    hidden = quick_gelu(hidden) if quick else block.mlp.gelu(hidden)
    return tokens + block.ls_2(block.mlp.c_proj(hidden))


def _attend(
    attention: nn.MultiheadAttention,
    tokens: Tensor,
    prompts: Tensor | None,
    attn_mask: Tensor | None,
) -> Tensor:
    # One product for queries, keys and values of the tokens, and one for the prompts' keys and
    # values.
    weight, bias = attention.in_proj_weight, attention.in_proj_bias
    query, key, value = F.linear(tokens, weight, bias).chunk(3, dim=-1)
    if prompts is not None:
        width = tokens.shape[-1]
        both = F.linear(prompts, weight[width:], bias[width:]).expand(tokens.shape[0], -1, -1)
        prompt_key, prompt_value = both.chunk(2, dim=-1)
        key = torch.cat([prompt_key, key], dim=1)
        value = torch.cat([prompt_value, value], dim=1)
    query, key, value = (
        each.unflatten(-1, (attention.num_heads, -1)).transpose(1, 2)
        for each in (query, key, value)
    )
    mask = None if attn_mask is None else attn_mask.to(query.dtype)
    attended = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    return attention.out_proj(attended.transpose(1, 2).flatten(2))


def quick_gelu(x: Tensor) -> Tensor:
    """``x * sigmoid(1.702 x)``; for the backward pass only its input is kept."""
    if x.requires_grad and torch.is_grad_enabled():
        return _QuickGELU.apply(x)
    return (1.702 * x).sigmoid_().mul_(x)


class _QuickGELU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return (1.702 * x).sigmoid_().mul_(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        share = (1.702 * x).sigmoid_()
        # d/dx [x s(ax)] = s (1 + a x (1 - s))
        slope = (1 - share).mul_(x).mul_(1.702).add_(1).mul_(share)
        return slope.mul_(gradient)
