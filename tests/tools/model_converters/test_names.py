"""Names of published checkpoints."""

from __future__ import annotations

import pytest
import torch
from model_converters import convert_names, our_name, published_name


@pytest.mark.parametrize(
    ("method", "published", "ours"),
    [
        ("zegclip", "backbone.deep_prompt_embeddings", "image_encoder.deep_prompts"),
        ("zegclip", "backbone.conv1.weight", "image_encoder.visual.conv1.weight"),
        (
            "zegclip",
            "decode_head.decoder_1.layers.2.multihead_attn.k.bias",
            "decode_head.decoder.layers.2.cross_attention.key.bias",
        ),
        ("zegclip", "decode_head.decoder_1.layers.0.self_attn.in_proj_weight", None),
        ("tagclip", "decode_head.disc_token", "decode_head.trusty_token"),
        (
            "tagclip",
            "decode_head.decoder.layers.0.norm1.weight",
            "decode_head.trusty_learner.norm.weight",
        ),
        ("tagclip", "decode_head.decoder.layers.1.norm1.weight", None),
        ("tagclip", "something.else", None),
    ],
)
def test_names_both_ways(method: str, published: str, ours: str | None) -> None:
    assert our_name(published, method) == ours
    if ours is not None:
        assert published_name(ours, method) == published


def test_what_the_published_code_lacks_has_no_name() -> None:
    assert published_name("text_encoder.language_prompts", "zegclip") is None
    assert published_name("decode_head.trusty_token", "zegclip") is None


def test_ignored_names_are_returned() -> None:
    tensors = {"backbone.prompt_norm.bias": torch.zeros(1), "optimizer.lr": torch.zeros(1)}
    converted, ignored = convert_names(tensors, "zegclip")
    assert list(converted) == ["image_encoder.prompt_norm.bias"] and ignored == ["optimizer.lr"]


def test_unknown_method() -> None:
    with pytest.raises(ValueError, match="'ldvc' is not one of zegclip, tagclip"):
        our_name("backbone.proj", "ldvc")
