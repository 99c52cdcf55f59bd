"""ZegCLIP's head."""

from __future__ import annotations

import math
from typing import ClassVar

import pytest
import torch

from tests.heads.base import HeadTester, unit
from zegclip.heads import (
    ATMDecoder,
    AttentionLogits,
    CrossAttention,
    RelationshipDescriptor,
    match,
    upsample,
)


class TestATMHead(HeadTester):
    head: ClassVar = {
        "type": "ATMHead",
        "decoder": {"num_layers": 2, "num_heads": 4, "feedforward_channels": 32},
    }


def test_attention_logits_are_the_mean_over_heads() -> None:
    torch.manual_seed(0)
    attention = AttentionLogits(embed_dims=12, num_heads=3)
    queries, context = torch.randn(2, 5, 12), torch.randn(2, 7, 12)
    query, key = attention.query(queries), attention.key(context)
    expected = torch.zeros(2, 5, 7)
    for head in range(3):
        part = slice(4 * head, 4 * head + 4)
        expected += query[..., part] @ key[..., part].transpose(1, 2) / math.sqrt(4) / 3
    torch.testing.assert_close(attention(queries, context), expected)


def test_relationship_descriptor_is_one_linear_of_the_concatenation() -> None:
    torch.manual_seed(0)
    descriptor = RelationshipDescriptor(8)
    classes, g = unit(3, 8), unit(2, 8, seed=1)
    for image in range(2):
        for category in range(3):
            pair = torch.cat([classes[category] * g[image], classes[category]])
            torch.testing.assert_close(
                descriptor(match(classes, g), classes)[image, category],
                descriptor.projection(pair),
            )


def test_dropout_of_attention_weights() -> None:
    """Of a single token to attend to, each head takes all, or in training twice it or nothing."""
    torch.manual_seed(0)
    attention = ATMDecoder(12, num_layers=2, num_heads=3, dropout=0.5).layers[0].cross_attention
    torch.nn.init.eye_(attention.output.weight)
    torch.nn.init.zeros_(attention.output.bias)
    queries, token = torch.randn(2, 5, 12), torch.randn(2, 1, 12)
    value = attention.value(token).expand(2, 5, 12).unflatten(-1, (3, 4))
    ratio = attention.train()(queries, token).unflatten(-1, (3, 4)) / value
    assert {round(each) for each in ratio.flatten().tolist()} == {0, 2}
    torch.testing.assert_close(ratio, ratio[..., :1].round().expand_as(ratio))  # head by head
    torch.testing.assert_close(attention.eval()(queries, token), value.flatten(-2))


def test_dropout_of_residual_branches_and_inside_the_feedforward() -> None:
    """Of branches that are 1, one dropout of 0.5 leaves 0 or 2, two leave 0 or 4."""
    torch.manual_seed(0)
    layer = ATMDecoder(8, num_layers=2, num_heads=2, feedforward_channels=8, dropout=0.5).layers[0]
    layer.attention_norm = layer.feedforward_norm = torch.nn.Identity()
    for linear in (layer.cross_attention.output, layer.feedforward_in):
        torch.nn.init.zeros_(linear.weight)
        torch.nn.init.ones_(linear.bias)
    torch.nn.init.eye_(layer.feedforward_out.weight)
    torch.nn.init.zeros_(layer.feedforward_out.bias)
    found = layer(torch.zeros(1, 30, 8), torch.randn(1, 3, 8))
    assert set(found.flatten().tolist()) == {0, 2, 4, 6}
    assert set(layer.eval()(torch.zeros(1, 30, 8), torch.randn(1, 3, 8)).flatten().tolist()) == {2}


def test_masks_are_upsampled_in_float32() -> None:
    """In bfloat16 the sigmoids of 9 and 9.01 are one."""
    logits = torch.tensor([9.0, 9.0625], dtype=torch.bfloat16).view(1, 2, 1, 1)
    low, high = upsample(logits, (2, 2)).sigmoid()[0]
    assert low.dtype == torch.float32 and (low < high).all()


def test_bad_sizes() -> None:
    with pytest.raises(ValueError, match="num_heads=5 does not divide embed_dims=32"):
        CrossAttention(32, 5)
    with pytest.raises(ValueError, match="num_layers"):
        ATMDecoder(32, num_layers=0)
