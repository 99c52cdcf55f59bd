"""Published checkpoints (mmcv 1.x) into ours, and ours into the published layout."""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from zegclip.errors import InputError
from zegclip.segmentors import ZeroShotSegmentor
from zegclip.segmentors.learned_state import learned_keys

from .names import DECODER, convert_names, our_name, published_name

_CLASS_EMBEDDING = "image_encoder.visual.class_embedding"
_POSITIONS = "image_encoder.visual.positional_embedding"
# What a file may differ from CLIP's own weights, relative to the largest: rounding to 16 bits.
_ROUNDING = 2e-3
# Numbers in the logs that old files carry; these types hold nothing but values.
_SCALAR = np.float64(0).__reduce__()[0]
_NUMPY = [
    np.dtype,
    *(type(np.dtype(kind)) for kind in (np.float32, np.float64, np.int32, np.int64, np.bool_)),
    _SCALAR,
    (_SCALAR, "numpy.core.multiarray.scalar"),  # as numpy 1.x wrote it
]


@dataclass(frozen=True)
class Conversion:
    """What became of a published checkpoint.

    Attributes:
        state: our state dict: what is learned, and the identity of the CLIP weights.
        class_embedding_twice: the value that ``model.image_encoder`` needs.
        frozen: how many of the file's tensors are CLIP's own, and agree with the model's.
        ignored: published names without a counterpart: unused by the published forward pass, or
            no part of the model.
    """

    state: dict[str, Tensor]
    class_embedding_twice: bool
    frozen: int
    ignored: list[str]


def read_checkpoint(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a ``.pth`` file of mmcv 1.x or of mmengine; no code in it is run.

    Args:
        path: the file: a state dict, or a dict with ``state_dict``.

    Raises:
        InputError: unreadable, not made of plain data, or without tensors.
    """
    try:
        with torch.serialization.safe_globals(_NUMPY):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        found = re.search(r"GLOBAL (\S+)", str(error))
        culprit = f" ({found[1]})" if found else ""
        raise InputError(
            f"{path} is refused: it holds more than tensors, numbers and text{culprit}, which "
            "could run code. Where you trust it, save its tensors by themselves with the old "
            "environment: torch.save({'state_dict': checkpoint['state_dict']}, 'plain.pth')"
        ) from error
    except Exception as error:  # bytes that are no pickle fail in any way
        reason = f" ({reason})" if (reason := str(error).split("\n")[0]) else ""
        raise InputError(
            f"{path} is no readable checkpoint{reason}: download or copy it again"
        ) from error
    state = content.get("state_dict", content) if isinstance(content, Mapping) else {}
    # (mmcv saved what DistributedDataParallel wrapped under "module.".)
    tensors = {
        str(key).removeprefix("module."): value
        for key, value in state.items()
        if isinstance(value, Tensor)
    }
    if not tensors:
        raise InputError(f"{path} holds no tensors: is it a checkpoint of a model?")
    return tensors


def from_published(
    published: Mapping[str, Tensor], method: str, model: ZeroShotSegmentor
) -> Conversion:
    """Convert a published state dict.

    Args:
        published: tensors by published name (:func:`read_checkpoint`).
        method: ``"zegclip"`` or ``"tagclip"``.
        model: of ours, with the CLIP weights that the file was trained with; is not changed.

    Raises:
        InputError: it is of another method, size or CLIP.
    """
    converted, ignored = convert_names(published, method)
    own = dict(model.named_parameters())
    unknown = [name for name in converted if name not in own]
    ignored += [name for name in published if our_name(name, method) in unknown]
    learned = learned_keys(model) - {"clip_fingerprint"}
    problems = [
        f"it lacks {published_name(key, method)}" for key in sorted(learned - set(converted))
    ]
    problems += [
        f"{published_name(key, method)} is {tuple(converted[key].shape)}, the config's model has "
        f"{tuple(own[key].shape)}"
        for key in sorted(learned & set(converted))
        # (Prompts are published with a leading dimension of 1.)
        if _without_ones(converted[key].shape) != _without_ones(own[key].shape)
    ]
    if problems:
        raise InputError(
            f"this is no {method} checkpoint that fits the config ({len(problems)} differences: "
            f"{'; '.join(problems[:3])}); choose --method and --config accordingly"
        )
    frozen = {key: converted[key] for key in converted if key in own and key not in learned}
    if _CLASS_EMBEDDING not in frozen:
        raise InputError(
            f"the file lacks {published_name(_CLASS_EMBEDDING, method)}, so that nothing says "
            "which CLIP weights it was trained with: convert the complete checkpoint"
        )
    twice = _check_frozen(frozen, own, model, method)
    state = {
        key: converted[key].detach().float().reshape(own[key].shape) for key in sorted(learned)
    }
    return Conversion(state, twice, len(frozen), ignored)


def _check_frozen(
    frozen: Mapping[str, Tensor],
    own: Mapping[str, nn.Parameter],
    model: ZeroShotSegmentor,
    method: str,
) -> bool:
    """Refuse a file of other CLIP weights; whether the class embedding counts twice."""
    twice = True
    for key, theirs in frozen.items():
        ours = own[key].detach()
        if key == _POSITIONS and theirs.shape != ours.shape:
            theirs, ours = theirs[:1], ours[:1]  # saved for the training's grid: CLS's alone
        if theirs.shape == ours.shape and _same(theirs, ours):
            continue
        # So that it counts once in the published code as well: written by to_published().
        if key == _CLASS_EMBEDDING and theirs.shape == ours.shape and _same(2 * theirs, ours):
            twice = False
            continue
        raise InputError(
            f"{published_name(key, method)} is not that of the config's CLIP weights: the file was "
            "trained with others; set model.clip in the config (--config) to those"
        )
    return twice


def to_published(
    model: ZeroShotSegmentor, method: str, grid: tuple[int, int] | None = None
) -> dict[str, Tensor]:
    """All tensors of a model of ours in the published layout, CLIP's own among them.

    Parameters that the published forward pass never uses get their initial values. The published
    code adds the class embedding twice; for a model that adds it once, half of it is written.

    Args:
        model: of ours, with its checkpoint loaded.
        method: ``"zegclip"`` or ``"tagclip"``.
        grid: patches (high, wide) of the published model's crop, for which the positional
            embedding is interpolated; ``None``: CLIP's own.

    Raises:
        InputError: the model has something that the published code has not.
    """
    if method == "tagclip" and not model.decode_head.needs_unseen_map:
        raise InputError(
            "this trusty map says where seen classes are (trusty_target='seen'), and the published "
            "code reads its map the other way round: only models trained with "
            "trusty_target='unseen_gt' can be used there"
        )
    published: dict[str, Tensor] = {}
    for key, parameter in model.named_parameters():
        name = published_name(key, method)
        if name is None:
            raise InputError(
                f"{key} has no counterpart in {method}'s published code: is --method right?"
            )
        published[name] = parameter.detach().clone()
    if grid is not None:
        positions = model.image_encoder.position_embedding(grid)
        published["backbone.positional_embedding"] = positions.detach().clone()
    if not model.image_encoder.class_embedding_twice:
        published["backbone.class_embedding"] /= 2
    return published | unused_parameters(model, method)


def unused_parameters(model: ZeroShotSegmentor, method: str) -> dict[str, Tensor]:
    """What the published decoder has and its forward pass never uses, with initial values.

    Published counts of parameters include it.

    Args:
        model: of ours, for the sizes.
        method: ``"zegclip"`` or ``"tagclip"``.
    """
    width, count = model.decode_head.embed_dims, len(model.decode_head.decoder.layers)
    unused: dict[str, Tensor] = {}
    for index in range(count):
        layer = f"{DECODER[method]}.layers.{index}"
        if method == "zegclip":
            attention = nn.MultiheadAttention(width, 1)
            for name, value in attention.state_dict().items():
                unused[f"{layer}.self_attn.{name}"] = value
        if method == "zegclip" or index:
            unused[f"{layer}.norm1.weight"] = torch.ones(width)
            unused[f"{layer}.norm1.bias"] = torch.zeros(width)
    return unused


def _without_ones(shape: torch.Size) -> list[int]:
    return [size for size in shape if size != 1]


def _same(one: Tensor, other: Tensor) -> bool:
    one, other = one.float(), other.float()
    return bool((one - other).abs().max() <= _ROUNDING * other.abs().max())


def unused_summary(names: Sequence[str]) -> str:
    """Names without counterpart, those that differ in the layer's number put together."""
    groups: dict[str, int] = {}
    for name in names:
        pattern = ".".join("*" if part.isdigit() else part for part in name.split("."))
        groups[pattern] = groups.get(pattern, 0) + 1
    return "\n".join(
        pattern + (f" ({count})" if count > 1 else "") for pattern, count in groups.items()
    )
