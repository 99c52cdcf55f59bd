"""Operations of fused attention, which torch's counter alone does not see."""

from __future__ import annotations

import torch
from support.flops import counting
from torch import nn

TOKENS, WIDTH = 50, 32
PRODUCTS = 2 * 2 * TOKENS * TOKENS * WIDTH  # queries by keys, weights by values; all heads together


def test_the_fused_attention_of_the_cpu_is_counted() -> None:
    q = torch.randn(1, 2, TOKENS, WIDTH // 2)
    with counting() as counter:
        nn.functional.scaled_dot_product_attention(q, q, q)
    assert counter.get_total_flops() == PRODUCTS


@torch.no_grad()
def test_attention_with_a_fast_path_is_counted() -> None:
    attention = nn.MultiheadAttention(WIDTH, 2, batch_first=True).eval()
    x = torch.randn(1, TOKENS, WIDTH)
    with counting() as counter:
        attention(x, x, x, need_weights=False)
    projections = 4 * 2 * TOKENS * WIDTH * WIDTH
    assert counter.get_total_flops() == PRODUCTS + projections
    assert torch.backends.mha.get_fastpath_enabled()
