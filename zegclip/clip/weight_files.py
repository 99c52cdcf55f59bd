"""Read CLIP weights from a file as data: nothing that the file brings along is run."""

from __future__ import annotations

import collections
import io
import pickle
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from zegclip.errors import InputError
from zegclip.files import read_checkpoint


def read_weights(path: Path) -> tuple[dict[str, Tensor], bool | None]:
    """Read OpenAI's TorchScript archive, safetensors, or a state dict.

    Returns:
        The parameters by name, and whether they were trained with QuickGELU: OpenAI's were; a
        safetensors file may say so in its metadata (``quick_gelu``); otherwise ``None``.

    Raises:
        InputError: the file is broken, or holds something else than data.
    """
    state: Any
    quick_gelu = None
    if _is_torchscript(path):
        state, quick_gelu = _read_torchscript(path), True
    elif path.suffix == ".safetensors":
        try:
            with safe_open(str(path), framework="pt") as file:
                state = {key: file.get_tensor(key) for key in file.keys()}
                said = (file.metadata() or {}).get("quick_gelu", "").lower()
        except SafetensorError as error:
            raise InputError(f"{path} is no readable safetensors file: {error}") from error
        quick_gelu = {"true": True, "false": False}.get(said)
    else:
        state = read_checkpoint(path)
    if isinstance(state, Mapping):
        state = state.get("state_dict", state)  # as training programs save it
    if not isinstance(state, Mapping):
        raise InputError(f"{path} holds no state dict")
    # Left out: numbers beside the parameters in OpenAI's files, and the causal mask, which
    # open_clip makes itself.
    no_weights = ("input_resolution", "context_length", "vocab_size", "attn_mask")
    parameters = {
        name.removeprefix("module."): value
        for name, value in state.items()
        if isinstance(value, Tensor) and not name.endswith(no_weights)
    }
    return parameters, quick_gelu


# --- OpenAI's TorchScript archives --------------------------------------------------------------
# torch.jit.load runs what such a file brings along: a TorchScript ``__setstate__`` can reach the
# file system. But an archive is a zip file of data.pkl, the module's attributes, and data/*, the
# raw tensors: these are read here without any of the file's classes.

_DTYPES = {"HalfStorage": torch.half, "FloatStorage": torch.float, "LongStorage": torch.long}


def _is_torchscript(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except Exception:  # no archive, or a damaged one, which its reader says
        return False


def _read_torchscript(path: Path) -> dict[str, Tensor]:
    """All tensors by dotted name, in the file's precision."""
    try:
        with zipfile.ZipFile(path) as archive:
            return dict(_tensors(_TensorUnpickler(archive).load(), ""))
    except Exception as error:  # a damaged pickle can raise anything
        raise InputError(f"{path} is no readable TorchScript archive: {error!r}") from error


class _Module:
    """Stands for every class and function that the file names; keeps attributes, runs nothing."""

    def __init__(self, *_: Any) -> None:
        self.attributes: dict[str, Any] = {}

    def __setstate__(self, state: Any) -> None:
        self.attributes = state if isinstance(state, dict) else {}


class _TensorUnpickler(pickle.Unpickler):
    def __init__(self, archive: zipfile.ZipFile) -> None:
        (description,) = (n for n in archive.namelist() if n.endswith("/data.pkl"))
        super().__init__(io.BytesIO(archive.read(description)))
        self._read = lambda key: archive.read(description[: -len(".pkl")] + f"/{key}")

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, size, stride, *_: storage.as_strided(
                size, stride, offset
            )
        return collections.OrderedDict if name == "OrderedDict" else _Module

    def persistent_load(self, pid: Any) -> Tensor:
        _, dtype, key = pid[:3]
        return torch.frombuffer(bytearray(self._read(key)), dtype=dtype)


def _tensors(module: _Module, prefix: str) -> Iterator[tuple[str, Tensor]]:
    for name, value in module.attributes.items():
        if isinstance(value, Tensor):
            yield f"{prefix}{name}", value
        elif isinstance(value, _Module):
            yield from _tensors(value, f"{prefix}{name}.")
