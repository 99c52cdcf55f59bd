"""Names of the published checkpoints of ZegCLIP and TagCLIP, and ours for the same tensors.

The published layout has the prefixes ``backbone.``, ``text_encoder.`` and ``decode_head.``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

METHODS = ("zegclip", "tagclip")

# (published, ours) as regular expressions; the first that matches the whole name counts.
_ENCODERS = [
    (r"backbone\.prompt_embeddings", "image_encoder.prompts"),
    (r"backbone\.deep_prompt_embeddings", "image_encoder.deep_prompts"),
    (r"backbone\.prompt_proj\.(.+)", r"image_encoder.prompt_projection.\1"),
    (r"backbone\.prompt_norm\.(.+)", r"image_encoder.prompt_norm.\1"),
    (r"backbone\.(.+)", r"image_encoder.visual.\1"),
    (r"text_encoder\.(.+)", r"text_encoder.tower.\1"),
]


def _decoder(published: str) -> list[tuple[str, str]]:
    """Pairs of the ATM decoder, whose published prefix differs between the methods."""
    layer = {
        "multihead_attn.q": "cross_attention.query",
        "multihead_attn.k": "cross_attention.key",
        "multihead_attn.v": "cross_attention.value",
        "multihead_attn.proj": "cross_attention.output",
        "linear1": "feedforward_in",
        "linear2": "feedforward_out",
        "norm2": "attention_norm",
        "norm3": "feedforward_norm",
    }
    return [
        (
            rf"decode_head\.{published}\.layers\.(\d+)\.{re.escape(theirs)}\.(.+)",
            rf"decode_head.decoder.layers.\1.{ours}.\2",
        )
        for theirs, ours in layer.items()
    ]


_HEADS = {
    "zegclip": [
        (r"decode_head\.q_proj\.(.+)", r"decode_head.relationship_descriptor.projection.\1"),
        *_decoder("decoder_1"),
    ],
    "tagclip": [
        (r"decode_head\.disc_token", "decode_head.trusty_token"),
        (
            r"decode_head\.relationship_discriptor\.q_proj\.(.+)",
            r"decode_head.trusty_learner.relationship_descriptor.projection.\1",
        ),
        (
            r"decode_head\.decoder\.layers\.0\.self_attn\.(.+)",
            r"decode_head.trusty_learner.self_attention.\1",
        ),
        (r"decode_head\.decoder\.layers\.0\.norm1\.(.+)", r"decode_head.trusty_learner.norm.\1"),
        *_decoder("decoder"),
    ],
}


def our_name(published: str, method: str) -> str | None:
    """Our name of a published tensor.

    Args:
        published: its name, with prefix.
        method: ``"zegclip"`` or ``"tagclip"``.

    Returns:
        Our name, or ``None`` for a tensor without counterpart: one that the published forward
        pass never uses (self-attention and its norm in ZegCLIP's decoder, ``norm1`` in TagCLIP's
        layers but the first), or one that is no part of the model.

    Raises:
        ValueError: unknown method.
    """
    if method not in METHODS:
        raise ValueError(f"method={method!r} is not one of {', '.join(METHODS)}")
    for pattern, ours in _ENCODERS + _HEADS[method]:
        match = re.fullmatch(pattern, published)
        if match:
            return match.expand(ours)
    return None


def convert_names(
    published: Mapping[str, Tensor], method: str
) -> tuple[dict[str, Tensor], list[str]]:
    """Rename a published state dict.

    Args:
        published: tensors by published name.
        method: ``"zegclip"`` or ``"tagclip"``.

    Returns:
        Tensors by our name, and the published names that have no counterpart, in order.
    """
    converted, ignored = {}, []
    for name, tensor in published.items():
        ours = our_name(name, method)
        if ours is None:
            ignored.append(name)
        else:
            converted[ours] = tensor
    return converted, ignored
