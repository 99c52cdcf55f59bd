"""Names of the published checkpoints of ZegCLIP and TagCLIP, and ours for the same tensors.

The published layout has the prefixes ``backbone.``, ``text_encoder.`` and ``decode_head.``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

METHODS = ("zegclip", "tagclip")
# Our heads by the method whose published code they correspond to.
HEADS = {"zegclip": "ATMHead", "tagclip": "TrustyHead"}

# (published, ours); the first that matches the whole name counts. {layer} is a number.
_ENCODERS = [
    ("backbone.prompt_embeddings", "image_encoder.prompts"),
    ("backbone.deep_prompt_embeddings", "image_encoder.deep_prompts"),
    ("backbone.prompt_proj.{rest}", "image_encoder.prompt_projection.{rest}"),
    ("backbone.prompt_norm.{rest}", "image_encoder.prompt_norm.{rest}"),
    ("backbone.{rest}", "image_encoder.visual.{rest}"),
    ("text_encoder.{rest}", "text_encoder.tower.{rest}"),
]
_DECODER_LAYER = {
    "multihead_attn.q": "cross_attention.query",
    "multihead_attn.k": "cross_attention.key",
    "multihead_attn.v": "cross_attention.value",
    "multihead_attn.proj": "cross_attention.output",
    "linear1": "feedforward_in",
    "linear2": "feedforward_out",
    "norm2": "attention_norm",
    "norm3": "feedforward_norm",
}
# The ATM decoder has another name in each method.
DECODER = {"zegclip": "decode_head.decoder_1", "tagclip": "decode_head.decoder"}


def _decoder(method: str) -> list[tuple[str, str]]:
    return [
        (
            f"{DECODER[method]}.layers.{{layer}}.{theirs}.{{rest}}",
            f"decode_head.decoder.layers.{{layer}}.{ours}.{{rest}}",
        )
        for theirs, ours in _DECODER_LAYER.items()
    ]


_HEAD_PAIRS = {
    "zegclip": [
        ("decode_head.q_proj.{rest}", "decode_head.relationship_descriptor.projection.{rest}"),
        *_decoder("zegclip"),
    ],
    "tagclip": [
        ("decode_head.disc_token", "decode_head.trusty_token"),
        (
            "decode_head.relationship_discriptor.q_proj.{rest}",
            "decode_head.trusty_learner.relationship_descriptor.projection.{rest}",
        ),
        (
            "decode_head.decoder.layers.0.self_attn.{rest}",
            "decode_head.trusty_learner.self_attention.{rest}",
        ),
        ("decode_head.decoder.layers.0.norm1.{rest}", "decode_head.trusty_learner.norm.{rest}"),
        *_decoder("tagclip"),
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
    return _translated(published, _pairs(method))


def published_name(ours: str, method: str) -> str | None:
    """The published name of a tensor of ours, or ``None`` where there is none.

    Args:
        ours: its name.
        method: ``"zegclip"`` or ``"tagclip"``.

    Raises:
        ValueError: unknown method.
    """
    return _translated(ours, [(own, theirs) for theirs, own in _pairs(method)])


def _pairs(method: str) -> list[tuple[str, str]]:
    if method not in METHODS:
        raise ValueError(f"method={method!r} is not one of {', '.join(METHODS)}")
    return _ENCODERS + _HEAD_PAIRS[method]


def _translated(name: str, pairs: list[tuple[str, str]]) -> str | None:
    for source, target in pairs:
        pattern = re.escape(source)
        pattern = pattern.replace(r"\{layer\}", r"(?P<layer>\d+)")
        pattern = pattern.replace(r"\{rest\}", r"(?P<rest>.+)")
        if match := re.fullmatch(pattern, name):
            return target.format(**match.groupdict())
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
