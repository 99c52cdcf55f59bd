"""Checkpoints that hold what is learned, and know the CLIP weights that it was learned with."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor, nn

from zegclip.clip import LoadedClip
from zegclip.errors import InputError


def learned_keys(model: nn.Module) -> set[str]:
    """State-dict keys of learnable parameters, and of buffers beside any of them.

    Buffers of a module without learnable parameters (CLIP's) are part of what is frozen; the
    model's own are kept.
    """

    def keys() -> Iterator[str]:
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                yield name
        for prefix, module in model.named_modules():
            if module is model or any(p.requires_grad for p in module.parameters()):
                for name, _ in module.named_buffers(prefix, recurse=False):
                    yield name

    return set(keys())


def _persistent(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Parameters and buffers that an unfiltered state dict would hold."""
    yield from model.named_parameters()
    for prefix, module in model.named_modules():
        for name, buffer in module.named_buffers(prefix, recurse=False):
            if name.rpartition(".")[2] not in module._non_persistent_buffers_set:
                yield name, buffer


def _check_learned(
    module: nn.Module, state: dict[str, Any], prefix: str, learned: set[str]
) -> None:
    """Refuse a state of ours whose learned keys or shapes are not the model's."""
    ours = {key: value.shape for key, value in _persistent(module)}
    found = {key.removeprefix(prefix): value for key, value in state.items()}
    problems = [f"{key} is missing" for key in sorted(learned - set(found))]
    problems += [f"{key} is not the model's" for key in sorted(set(found) - set(ours))]
    problems += [
        f"{key} is {tuple(value.shape)} and the model's {tuple(ours[key])}"
        for key, value in found.items()
        if key in ours and value.shape != ours[key]
    ]
    if problems:
        listed = "; ".join(problems[:3]) + ("; ..." if len(problems) > 3 else "")
        raise InputError(
            f"this checkpoint is of another model ({len(problems)} differences: {listed}); use the "
            "config that lies beside it in its work dir"
        )


def clip_identity(fingerprint: str, quirks: Mapping[str, bool]) -> str:
    """Which frozen function a checkpoint was trained on.

    Args:
        fingerprint: of the CLIP weights, 64 hexadecimal digits.
        quirks: settings that no shape shows and that make another function of the same weights
            (those of the published code), and whether each is on.

    Returns:
        64 hexadecimal digits; the fingerprint itself where no quirk is on.
    """
    active = sorted(setting for setting, on in quirks.items() if on)
    if not active:
        return fingerprint
    return hashlib.sha256(" ".join([fingerprint, *active]).encode()).hexdigest()


def _mismatch(theirs: str, clip: LoadedClip, quirks: Mapping[str, bool]) -> str:
    """What to say to a checkpoint of another frozen function."""
    for values in itertools.product((False, True), repeat=len(quirks)):
        other = dict(zip(quirks, values, strict=True))
        if theirs == clip_identity(clip.fingerprint, other):
            changed = [setting for setting in quirks if quirks[setting] != other[setting]]
            mends = [
                f"set model.{setting}" if other[setting] else f"leave model.{setting} out"
                for setting in changed
            ]
            return (
                "this checkpoint was trained with other settings of the published code's quirks "
                f"than the config has: {' and '.join(mends)}"
            )
    return (
        f"this checkpoint was trained with other CLIP weights (fingerprint {theirs[:12]}) than the "
        f"model has ({clip.model_name}, {clip.weights}, fingerprint {clip.fingerprint[:12]}); set "
        "model.clip in the config to the weights of the training run"
    )


def keep_learned_state(model: nn.Module, clip: LoadedClip, quirks: Mapping[str, bool]) -> None:
    """Make ``model.state_dict()`` leave out what is frozen, and loading check CLIP's identity.

    Args:
        model: has the buffer ``clip_fingerprint``, uint8 ``(32,)``.
        clip: what the model was built with, for the message.
        quirks: as in :func:`clip_identity`, for the message.
    """

    def drop_frozen(
        module: nn.Module, state: dict[str, Any], prefix: str, metadata: dict[str, Any]
    ) -> dict[str, Any]:
        kept = {prefix + key for key in learned_keys(module)}
        for key in [key for key in state if key.startswith(prefix) and key not in kept]:
            del state[key]
        return state

    def check_and_fill(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
        theirs: Tensor | None = state.get(prefix + "clip_fingerprint")
        ours = module.get_buffer("clip_fingerprint")
        if theirs is not None and not theirs.cpu().equal(ours.cpu()):
            raise InputError(_mismatch(bytes(theirs.cpu()).hex(), clip, quirks))
        learned = learned_keys(module)
        if theirs is not None:  # mmengine would load what fits, and test the rest untrained
            _check_learned(module, state, prefix, learned)
        # Strict loading then still finds every key, and what is frozen stays what it is.
        for key, value in _persistent(module):
            if key not in learned:
                state.setdefault(prefix + key, value)

    model._register_state_dict_hook(drop_frozen)
    model.register_load_state_dict_pre_hook(check_and_fill)
