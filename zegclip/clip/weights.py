"""Reading CLIP weights: from open_clip's tags or from files in any of their formats."""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from huggingface_hub import try_to_load_from_cache
from open_clip.pretrained import download_pretrained, get_pretrained_cfg
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from zegclip.errors import InputError

from .architecture import ClipArchitecture
from .torchscript import is_torchscript, read_torchscript

# In OpenAI's files, beside the parameters.
_SCALARS = ("input_resolution", "context_length", "vocab_size")
_HUB_FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")


# --- tags -----------------------------------------------------------------------------------


def tag_problem(architecture: ClipArchitecture, tag: str) -> str | None:
    """Why a tag cannot be used, found without downloading; ``None`` if it can."""
    entry = get_pretrained_cfg(architecture.name, tag)
    if bool(entry.get("quick_gelu", False)) != architecture.quick_gelu:
        return activation_message(architecture, f"the weights of tag {tag!r}")
    if _cached(entry) is None and os.environ.get("HF_HUB_OFFLINE", "0").lower() in ("1", "true"):
        file = Path(entry["url"]).name if entry.get("url") else _HUB_FILES[0]
        return (
            f"the CLIP weights of tag {tag!r} are not on this machine and downloads are off "
            f"(HF_HUB_OFFLINE): fetch {entry.get('url') or entry.get('hf_hub')} elsewhere, put it "
            f"to data/clip/{file} and set model.clip.weights='data/clip/{file}'"
        )
    return None


def tag_file(architecture: ClipArchitecture, tag: str) -> Path:
    """The file of a tag, downloaded if it is not cached."""
    entry = get_pretrained_cfg(architecture.name, tag)
    cached = _cached(entry)
    if cached is not None:
        return cached
    try:
        return Path(download_pretrained(entry))
    except Exception as error:  # whatever the network or the hub raises
        raise InputError(
            f"the CLIP weights of tag {tag!r} could not be downloaded ({error}); put a file to "
            "data/clip/ and set model.clip.weights to its path"
        ) from error


def _cached(entry: Mapping[str, str]) -> Path | None:
    if entry.get("hf_hub"):
        repository, file = os.path.split(entry["hf_hub"])
        for name in [file] if file else _HUB_FILES:
            found = try_to_load_from_cache(repository, name)
            if isinstance(found, str):
                return Path(found)
    if entry.get("url"):
        path = Path("~/.cache/clip").expanduser() / Path(entry["url"]).name
        if path.is_file():
            return path
    return None


# --- files ----------------------------------------------------------------------------------


def read_weights(path: Path, architecture: ClipArchitecture, model: nn.Module) -> None:
    """Load a file into a model.

    Args:
        path: TorchScript archive of OpenAI, safetensors, or a plain state dict.
        architecture: of the model; OpenAI's archive must meet QuickGELU. A plain state dict does
            not say which activation it was trained with, so there it is the config's word.
        model: is changed.

    Raises:
        InputError: unreadable, or of another model.
    """
    state: Mapping[str, Tensor]
    if is_torchscript(path):
        if not architecture.quick_gelu and not architecture.checked:
            raise InputError(activation_message(architecture, f"{path} (OpenAI's)"))
        try:
            state = read_torchscript(path)
        except ValueError as error:
            raise InputError(f"{path} is no readable TorchScript archive: {error}") from error
    elif path.suffix == ".safetensors":
        state, metadata = _read_safetensors(path)
        said = {"true": True, "false": False}.get(metadata.get("quick_gelu", "").lower())
        if said is not None and said != architecture.quick_gelu and not architecture.checked:
            raise InputError(activation_message(architecture, f"{path} (by its metadata)"))
    else:
        state = _read_state_dict(path)
    _fill(model, _plain(state), path)


def activation_message(architecture: ClipArchitecture, culprit: str) -> str:
    """Why an activation does not go with the weights, and which model does."""
    needs, has = ("GELU", "QuickGELU") if architecture.quick_gelu else ("QuickGELU", "GELU")
    return (
        f"{culprit} were trained with {needs}, but model.clip.model_name="
        f"{architecture.name!r} has {has} and would be silently wrong: use {architecture.twin}"
    )


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safe_open(str(path), framework="pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}
            return tensors, file.metadata() or {}
    except SafetensorError as error:
        raise InputError(f"{path} is no readable safetensors file: {error}") from error


def _read_state_dict(path: Path) -> Mapping[str, Tensor]:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise InputError(
            f"{path} cannot be read as plain weights ({str(error).splitlines()[0][:120]}); give "
            "a safetensors file, OpenAI's archive or a state dict of tensors alone"
        ) from error


def _plain(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Unwrapped (``state_dict``, ``module.``), without OpenAI's scalars."""
    nested = state.get("state_dict")
    if isinstance(nested, Mapping):
        state = nested
    return {
        key.removeprefix("module."): value
        for key, value in state.items()
        # (attn_mask: a constant of the text tower, which open_clip makes itself.)
        if key not in _SCALARS and not key.endswith("attn_mask") and isinstance(value, Tensor)
    }


def _fill(model: nn.Module, state: dict[str, Tensor], path: Path) -> None:
    own = dict(model.named_parameters())
    missing = [name for name in own if name not in state]
    shapes = [
        f"{name} is {tuple(state[name].shape)} instead of {tuple(parameter.shape)}"
        for name, parameter in own.items()
        if name in state and state[name].shape != parameter.shape
    ]
    # More blocks than the model has: without them it would be another, silently.
    extra = [name for name in state if name not in own]
    if missing or shapes or extra:
        culprits = [f"lacks {name}" for name in missing[:3]] + shapes[:3]
        culprits += [f"holds {name}, which the model has not" for name in extra[:3]]
        raise InputError(
            f"{path} does not fit the model: it {', '.join(culprits)}"
            f" ({len(missing)} missing, {len(shapes)} of another shape, "
            f"{len(extra)} too many). {_looks_like(state)}"
        )
    with torch.no_grad():
        for name, parameter in own.items():
            parameter.copy_(state[name])


def _looks_like(state: Mapping[str, Tensor]) -> str:
    conv = state.get("visual.conv1.weight")
    if conv is None or conv.ndim != 4:
        return "The file is no CLIP of open_clip's or OpenAI's layout."
    blocks = {key.split(".")[3] for key in state if key.startswith("visual.transformer.resblocks.")}
    kind = f"width {conv.shape[0]}, {len(blocks)} layers, patch {conv.shape[-1]}"
    return f"The file looks like a ViT of {kind}: set model.clip.model_name accordingly."
