"""Checkpoints that hold everything but CLIP, and know the CLIP weights they were learned with."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from zegclip.clip import LoadedClip
from zegclip.errors import InputError


def leave_clip_out(model: nn.Module, clip: LoadedClip, fixed_settings: Mapping[str, bool]) -> None:
    """Make ``model.state_dict()`` leave CLIP out, and loading check that it is the same CLIP.

    Everything that is not CLIP's own is kept, whether it requires a gradient or not: buffers,
    parameters that a hook froze, the averaged weights of an EMA. What tells one CLIP from another
    becomes a buffer of the model, ``clip_fingerprint``, uint8 ``(32,)``.

    Args:
        model: with all of its modules.
        clip: what the model was built with.
        fixed_settings: settings that no shape shows and that make another function of the same
            weights, and whether each is on.
    """
    of_clip = {id(t) for t in itertools.chain(clip.model.parameters(), clip.model.buffers())}
    state = model.state_dict(keep_vars=True)
    # By name, and now: a deep copy of the model, as EMA makes one, has tensors of its own, none of
    # which requires a gradient.
    frozen = frozenset(
        name for name, t in state.items() if id(t) in of_clip and not t.requires_grad
    )
    # (Of the settings, too; the name is that of our first checkpoints.)
    identity = bytearray.fromhex(_clip_identity(clip.fingerprint, fixed_settings))
    model.register_buffer("clip_fingerprint", torch.frombuffer(identity, dtype=torch.uint8))
    source = f"{clip.model_name}, {clip.weights}"
    model.register_state_dict_post_hook(_DropClip(frozen))
    model.register_load_state_dict_pre_hook(
        _CheckAndFill(frozen, clip.fingerprint, source, dict(fixed_settings))
    )


def _clip_identity(fingerprint: str, fixed_settings: Mapping[str, bool]) -> str:
    """Which CLIP, with which settings, a checkpoint was trained on.

    Args:
        fingerprint: of the CLIP weights, 64 hexadecimal digits.
        fixed_settings: as in :func:`leave_clip_out`.

    Returns:
        64 hexadecimal digits; the fingerprint itself where no setting is on.
    """
    active = sorted(setting for setting, on in fixed_settings.items() if on)
    if not active:
        return fingerprint
    return hashlib.sha256(" ".join([fingerprint, *active]).encode()).hexdigest()


# Hooks of torch's, as classes of the module: so they are pickled with the model.
@dataclass
class _DropClip:
    """``state_dict`` post-hook: removes CLIP's own tensors, whose names are ``frozen``."""

    frozen: frozenset[str]

    def __call__(
        self, module: nn.Module, state: dict[str, Any], prefix: str, metadata: dict[str, Any]
    ) -> None:
        # (What somebody trains is CLIP's own no more.)
        trained = {name for name, p in module.named_parameters() if p.requires_grad}
        for name in self.frozen - trained:
            state.pop(prefix + name, None)


@dataclass
class _CheckAndFill:
    """``load_state_dict`` pre-hook: checks CLIP, keys and shapes, then fills in CLIP's tensors.

    Attributes:
        frozen: names of CLIP's own tensors.
        fingerprint: of the CLIP weights.
        source: where they are from, for a message.
        fixed_settings: as in :func:`leave_clip_out`.
    """

    frozen: frozenset[str]
    fingerprint: str
    source: str
    fixed_settings: dict[str, bool]

    def __call__(self, module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
        found = {
            key.removeprefix(prefix): value
            for key, value in state.items()
            if key.startswith(prefix) and isinstance(value, Tensor)
        }
        theirs: Tensor | None = found.get("clip_fingerprint")
        ours = module.get_buffer("clip_fingerprint")
        if theirs is not None and not theirs.cpu().equal(ours.cpu()):
            raise InputError(self._mismatch(bytes(theirs.cpu()).hex()))
        # mmengine would load what fits, and test the rest untrained.
        own = module.state_dict()
        problems = [
            f"it lacks {name}" for name in own if name not in found and name not in self.frozen
        ]
        problems += [
            f"it holds {name}" for name in found if name not in own and name not in self.frozen
        ]
        problems += [
            f"{name} is {tuple(found[name].shape)} and the model's {tuple(value.shape)}"
            for name, value in own.items()
            if name in found and found[name].shape != value.shape
        ]
        if problems:
            listed = "; ".join(problems[:3]) + ("; ..." if len(problems) > 3 else "")
            raise InputError(
                f"this checkpoint is of another model than the config ({len(problems)} "
                f"differences: {listed}): use the config that trained it; a file of the published "
                "code is turned into ours by tools/convert_checkpoint.py"
            )
        # Strict loading then still finds every key, and CLIP stays what it is.
        parts = {**dict(module.named_parameters()), **dict(module.named_buffers())}
        for name in self.frozen:
            state.setdefault(prefix + name, parts[name])

    def _mismatch(self, theirs: str) -> str:
        """The message for a checkpoint of other CLIP weights or settings, by its identity."""
        for values in itertools.product((False, True), repeat=len(self.fixed_settings)):
            other = dict(zip(self.fixed_settings, values, strict=True))
            if theirs == _clip_identity(self.fingerprint, other):
                changes = [
                    f"set model.{setting}" if other[setting] else f"leave model.{setting} out"
                    for setting in self.fixed_settings
                    if self.fixed_settings[setting] != other[setting]
                ]
                return (
                    "this checkpoint was trained with other settings than the config has: "
                    + " and ".join(changes)
                )
        return (
            f"this checkpoint was trained with other CLIP weights (fingerprint {theirs[:12]}) than "
            f"the model has ({self.source}, fingerprint {self.fingerprint[:12]}); set "
            "model.clip in the config to the weights of the training run"
        )
