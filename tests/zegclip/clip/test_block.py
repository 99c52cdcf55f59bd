"""A frozen block is open_clip's own, prompts being keys and values only."""

from __future__ import annotations

import open_clip
import pytest
import torch
from open_clip.transformer import QuickGELU, ResidualAttentionBlock
from torch import nn

from zegclip.clip.block import run_block


@pytest.mark.parametrize("activation", [nn.GELU, QuickGELU])
@pytest.mark.parametrize("shared", [False, True])
def test_equals_open_clips_block(activation: type[nn.Module], shared: bool) -> None:
    torch.manual_seed(0)
    block = ResidualAttentionBlock(16, 4, act_layer=activation, ls_init_value=0.5).double()
    block.requires_grad_(False)
    tokens = torch.randn(3, 6, 16, dtype=torch.float64, requires_grad=True)
    prompts = torch.randn(1 if shared else 3, 4, 16, dtype=torch.float64, requires_grad=True)
    expected = block(torch.cat([prompts.expand(3, -1, -1), tokens], dim=1))[:, 4:]
    found = run_block(block, tokens, prompts)
    torch.testing.assert_close(found, expected)
    weights = torch.randn_like(expected)
    torch.testing.assert_close(
        torch.autograd.grad((found * weights).sum(), (tokens, prompts)),
        torch.autograd.grad((expected * weights).sum(), (tokens, prompts)),
    )


def test_causal_attention_is_kept() -> None:
    vision = dict(layers=1, width=16, head_width=8, patch_size=8, image_size=16)
    text = dict(context_length=7, vocab_size=9, width=16, heads=2, layers=1)
    tower = open_clip.CLIP(16, vision, text)
    block, mask = tower.transformer.resblocks[0], tower.attn_mask
    hidden = torch.randn(2, 7, 16)
    torch.testing.assert_close(
        run_block(block, hidden, attn_mask=mask), block(hidden, attn_mask=mask)
    )
    torch.testing.assert_close(
        run_block(block, hidden[:, 3:], hidden[:, :3], attn_mask=mask[3:]),
        block(hidden, attn_mask=mask)[:, 3:],
    )


def test_of_the_hidden_layer_its_input_alone_is_kept() -> None:
    block = ResidualAttentionBlock(16, 4, act_layer=QuickGELU).requires_grad_(False)
    kept: list[torch.Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        run_block(block, torch.randn(3, 6, 16, requires_grad=True))
    assert sum(each.numel() == 3 * 6 * 64 for each in kept) == 1
