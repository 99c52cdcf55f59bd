"""The tensors of a TorchScript archive, read without running anything in it.

OpenAI publishes CLIP as TorchScript archives. ``torch.jit.load`` would run what such a file
brings along (TorchScript's ``__setstate__``, whose operators reach the file system). An archive is
a zip file, though, whose ``data.pkl`` describes the module's attributes and whose ``data/*`` are
the raw tensors. Here that description is read by an unpickler that knows nothing but tensors:
every class and function the file names is replaced by an inert stand-in, so none can be called.
"""

from __future__ import annotations

import collections
import io
import pickle
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

_STORAGE_DTYPES = {
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "DoubleStorage": torch.float64,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


class _StandIn:
    """Stands for any object of the file: takes every argument, keeps attributes, does nothing."""

    def __new__(cls, *_: Any, **__: Any) -> _StandIn:
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        self.attributes: dict[Any, Any] = {}

    def __setstate__(self, state: Any) -> None:
        self.attributes = state if isinstance(state, dict) else {}


def _rebuild_tensor(storage: Tensor, offset: int, size: Any, stride: Any, *_: Any) -> Tensor:
    return storage.as_strided(tuple(size), tuple(stride), offset)


class _TensorUnpickler(pickle.Unpickler):
    def __init__(self, archive: zipfile.ZipFile, root: str) -> None:
        super().__init__(io.BytesIO(archive.read(f"{root}/data.pkl")))
        self._archive, self._root = archive, root
        self._storages: dict[str, Tensor] = {}

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in _STORAGE_DTYPES:
            return _STORAGE_DTYPES[name]
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild_tensor
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        return _StandIn

    def persistent_load(self, pid: Any) -> Tensor:
        _, dtype, key = pid[:3]
        if key not in self._storages:
            raw = bytearray(self._archive.read(f"{self._root}/data/{key}"))
            self._storages[key] = (
                torch.frombuffer(raw, dtype=dtype) if raw else torch.empty(0, dtype=dtype)
            )
        return self._storages[key]


def is_torchscript(path: Path) -> bool:
    """Whether a file is a TorchScript archive (and not one of ``torch.save``); cheap."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.split("/", 1)[-1] == "constants.pkl" for name in archive.namelist())


def read_torchscript(path: Path) -> dict[str, Tensor]:
    """All tensors of an archive by their dotted name, in the file's precision.

    Parameters and buffers, as in the module's state dict, and besides them the tensors that are
    plain attributes (the format does not tell these apart).

    Raises:
        ValueError: the archive is damaged, or in a form unlike that of a module's.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            roots = [n[: -len("/data.pkl")] for n in archive.namelist() if n.endswith("/data.pkl")]
            module = _TensorUnpickler(archive, roots[0]).load()
        return dict(_tensors(module, ""))
    except Exception as error:  # a damaged pickle can raise anything
        raise ValueError(f"{type(error).__name__}: {error}") from error


def _tensors(module: Any, prefix: str) -> Iterator[tuple[str, Tensor]]:
    for name, value in module.attributes.items():
        if isinstance(value, Tensor):
            yield f"{prefix}{name}", value
        elif isinstance(value, _StandIn):
            yield from _tensors(value, f"{prefix}{name}.")
