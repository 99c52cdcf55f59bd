"""A frozen block of CLIP, without computing the prompts' outputs, which are discarded."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

QUICK = 1.702  # of QuickGELU


def run_block(
    block: nn.Module, tokens: Tensor, prefix: Tensor | None = None, attn_mask: Tensor | None = None
) -> Tensor:
    """One of open_clip's residual attention blocks: attention, then feed-forward.

    Equal to ``block(torch.cat([prefix, tokens], dim=1))[:, n:]``. The prompts are keys and values
    only, since the next block replaces them. Tokens stay ``(B, N, width)``:
    ``nn.MultiheadAttention`` would first transpose them to ``(N, B, width)``, which is slower.

    Args:
        block: frozen.
        tokens: ``(B, N, width)``.
        prefix: prompts that the tokens see, ``(B, n, width)`` or ``(1, n, width)``.
        attn_mask: added to the attention logits, ``(N, n + N)``.

    Returns:
        ``(B, N, width)``.
    """
    attention = block.attn
    width = tokens.shape[-1]

    # Queries of the tokens; keys and values of what they see. Those of a shared prefix are one
    # for all.
    query_weight, weight = attention.in_proj_weight.split([width, 2 * width])
    query_bias, bias = attention.in_proj_bias.split([width, 2 * width])
    asking = block.ln_1(tokens)
    query, seen = F.linear(asking, query_weight, query_bias), F.linear(asking, weight, bias)
    if prefix is not None:
        shared = F.linear(block.ln_1(prefix), weight, bias).expand(tokens.shape[0], -1, -1)
        seen = torch.cat([shared, seen], dim=1)
    key, value = seen.chunk(2, dim=-1)
    query, key, value = (split_heads(each, attention.num_heads) for each in (query, key, value))
    mask = None if attn_mask is None else attn_mask.to(query.dtype)
    attended = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    tokens = tokens + block.ls_1(attention.out_proj(join_heads(attended)))
    return tokens + feed_forward(block, tokens)


def split_heads(tokens: Tensor, num_heads: int) -> Tensor:
    """``(B, N, width)`` -> ``(B, heads, N, width / heads)``."""
    return tokens.unflatten(-1, (num_heads, -1)).transpose(1, 2)


def join_heads(tokens: Tensor) -> Tensor:
    """``(B, heads, N, width / heads)`` -> ``(B, N, width)``."""
    return tokens.transpose(1, 2).flatten(2)


def feed_forward(block: nn.Module, tokens: Tensor) -> Tensor:
    """The block's second half without its residual, ``(B, N, width)`` -> the same."""
    mlp = block.mlp
    if type(mlp.gelu).__name__ != "QuickGELU":  # (that class costs an import of open_clip)
        return block.ls_2(mlp(block.ln_2(tokens)))
    # QuickGELU(x) = x sigmoid(a x) = SiLU(a x) / a. The factors sit on the narrow tensors, so that
    # the wide hidden layer is read once in each pass, and only its input is kept for backward.
    hidden = F.linear(QUICK * block.ln_2(tokens), mlp.c_fc.weight, QUICK * mlp.c_fc.bias)
    hidden = F.linear(F.silu(hidden), mlp.c_proj.weight, QUICK * mlp.c_proj.bias)
    return block.ls_2(hidden / QUICK)
