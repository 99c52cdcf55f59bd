"""Published checkpoints of ZegCLIP and TagCLIP (mmcv 1.x) as ours: names, and what fits."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import product

from torch import Tensor

from zegclip.errors import InputError
from zegclip.segmentors import ZeroShotSegmentor

METHODS = ("zegclip", "tagclip")
_DECODER = {"zegclip": "decode_head.decoder_1", "tagclip": "decode_head.decoder"}
_LEARNER = "decode_head.trusty_learner"
# Starts of our names, by those of published ones; the first that fits counts.
_NAMES = {
    "zegclip": {"decode_head.q_proj": "decode_head.relationship_descriptor.projection"},
    "tagclip": {
        "decode_head.disc_token": "decode_head.trusty_token",
        "decode_head.relationship_discriptor.q_proj": (
            f"{_LEARNER}.relationship_descriptor.projection"
        ),
        "decode_head.decoder.layers.0.self_attn": f"{_LEARNER}.self_attention",
        "decode_head.decoder.layers.0.norm1": f"{_LEARNER}.norm",
    },
    "both": {
        "backbone.prompt_embeddings": "image_encoder.prompts",
        "backbone.deep_prompt_embeddings": "image_encoder.deep_prompts",
        "backbone.prompt_proj": "image_encoder.prompt_projection",
        "backbone.prompt_norm": "image_encoder.prompt_norm",
        "backbone": "image_encoder.visual",
        "text_encoder": "text_encoder.tower",
    },
}
# The same within a decoder's layer. Of the last one only the attention has an effect on a mask;
# what is not named here is a leftover without any.
_LAST = {"multihead_attn.q": "query", "multihead_attn.k": "key"}
_LAYER = {
    "multihead_attn.q": "cross_attention.query",
    "multihead_attn.k": "cross_attention.key",
    "multihead_attn.v": "cross_attention.value",
    "multihead_attn.proj": "cross_attention.output",
    "norm2": "attention_norm",
    "linear1": "feedforward_in",
    "linear2": "feedforward_out",
    "norm3": "feedforward_norm",
}
_CLASS_EMBEDDING = "image_encoder.visual.class_embedding"
_POSITIONS = "image_encoder.visual.positional_embedding"
# What a file may differ from CLIP's own weights, relative to the largest: rounding to 16 bits.
_ROUNDING = 2e-3


def our_names(published: Iterable[str], method: str) -> dict[str, str | None]:
    """Our name of every name in a published state dict.

    ``None`` for what our model does not have: leftovers that have no effect on a mask, and what is
    no part of the model.
    """
    names, decoder = list(published), f"{_DECODER[method]}.layers"
    layers = [re.match(rf"{re.escape(decoder)}\.(\d+)\.", name) for name in names]
    last = max((int(match[1]) for match in layers if match), default=0)
    pairs = _NAMES[method] | _NAMES["both"]
    for theirs, ours in _LAST.items():
        pairs[f"{decoder}.{last}.{theirs}"] = f"decode_head.decoder.mask_attention.{ours}"
    for n, (theirs, ours) in product(range(last), _LAYER.items()):
        pairs[f"{decoder}.{n}.{theirs}"] = f"decode_head.decoder.layers.{n}.{ours}"
    result = {}
    for name in names:
        fits = (theirs for theirs in pairs if f"{name}.".startswith(f"{theirs}."))
        start = next(fits, None)
        result[name] = None if start is None else pairs[start] + name.removeprefix(start)
    return result


@dataclass(frozen=True)
class Conversion:
    """What became of a published checkpoint.

    Attributes:
        state: what is learned, by our name.
        class_embedding_twice: the value that ``model.image_encoder`` needs.
        frozen: how many of the file's tensors are CLIP's own, and agree with the model's.
        dropped: published names of what our model does not have.
    """

    state: dict[str, Tensor]
    class_embedding_twice: bool
    frozen: int
    dropped: list[str]


def from_published(
    published: Mapping[str, Tensor], method: str, model: ZeroShotSegmentor
) -> Conversion:
    """Convert a published state dict, given our model with the CLIP weights of its training.

    Raises:
        InputError: it is of another method, size or CLIP.
    """
    own = dict(model.named_parameters())
    names = our_names(published, method)
    converted = {ours: published[name] for name, ours in names.items() if ours and ours in own}
    learned = set(model.state_dict()) - {"clip_fingerprint"}
    problems = [f"it lacks {key}" for key in sorted(learned - set(converted))]
    problems += [
        f"{name} is {tuple(published[name].shape)}, the config's model has {tuple(own[key].shape)}"
        for name, key in names.items()
        # (Prompts are published with a leading dimension of 1.)
        if key in learned and _sizes(published[name]) != _sizes(own[key])
    ]
    if problems:
        raise InputError(
            f"this is no {method} checkpoint that fits the config ({len(problems)} differences: "
            f"{'; '.join(problems[:3])}); choose --method and --config accordingly"
        )
    frozen = {key: value for key, value in converted.items() if key not in learned}
    if _CLASS_EMBEDDING not in frozen:
        raise InputError(
            "the file lacks backbone.class_embedding, so that nothing says which CLIP weights it "
            "was trained with: convert the complete checkpoint"
        )
    return Conversion(
        {key: converted[key].float().reshape(own[key].shape) for key in sorted(learned)},
        _class_embedding_counts_twice(frozen, own),
        len(frozen),
        [name for name, key in names.items() if key not in own],
    )


def _class_embedding_counts_twice(frozen: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> bool:
    """Refuse a file of other CLIP weights. The published code adds CLIP's class embedding twice;
    a file that holds half of it was trained with it once."""
    twice = True
    for key, theirs in frozen.items():
        ours = own[key].detach()
        if key == _POSITIONS and theirs.shape != ours.shape:
            theirs, ours = theirs[:1], ours[:1]  # saved for the training's grid: CLS's alone
        if _same(theirs, ours):
            continue
        if key == _CLASS_EMBEDDING and _same(2 * theirs, ours):
            twice = False
            continue
        raise InputError(
            f"{key} is not that of the config's CLIP weights: the file was trained with others; "
            "set model.clip in the config (--config) to those"
        )
    return twice


def _sizes(tensor: Tensor) -> list[int]:
    return [size for size in tensor.shape if size != 1]


def _same(one: Tensor, other: Tensor) -> bool:
    if one.shape != other.shape:
        return False
    return bool((one.float() - other.float()).abs().max() <= _ROUNDING * other.abs().max())


def summary(names: Iterable[str]) -> str:
    """Names in a line, those that differ in the layer's number or the kind put together."""
    groups: dict[str, int] = {}
    for name in names:
        pattern = re.sub(r"\.\d+\.", ".*.", re.sub(r"[._](weight|bias)$", "", name))
        groups[pattern] = groups.get(pattern, 0) + 1
    return ", ".join(f"{pattern} ({count})" for pattern, count in groups.items())
