"""A device for machines without a GPU: values lie on the CPU, and mixing devices is an error.

Its tensors say that they are on another device, which torch believes (autograd, modules' ``to``,
factories), and each operation is checked as a GPU would: all of its tensors are there, or none is,
but for scalars, copies and the indices of an indexing. It knows no mixed precision, and nothing
about speed. Importing this changes the process: for one that does nothing else.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map_only
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

NAME = "emulated"
_setup_privateuseone_for_python_backend(NAME)
torch.__future__.set_swap_module_params_on_conversion(True)  # the same parameters, as on a GPU
_aten = torch.ops.aten
_COPIES = {_aten.copy_.default, _aten._to_copy.default}
_INDEXING = {_aten.index.Tensor, _aten.index_put_.default, _aten._index_put_impl_.default}


class Elsewhere(torch.Tensor):
    """A tensor on the emulated device; ``value`` is what it holds."""

    __torch_function__ = torch._C._disabled_torch_function_impl
    value: torch.Tensor

    @staticmethod
    def __new__(cls, value: torch.Tensor) -> Elsewhere:
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            value.size(),
            strides=value.stride(),
            storage_offset=value.storage_offset(),
            dtype=value.dtype,
            device=torch.device(NAME, 0),
            requires_grad=value.requires_grad,
        )
        made.value = value
        return made

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, dict(kwargs or {}))


def _is_here(device: Any) -> bool:
    return device is not None and torch.device(device).type == NAME


def _run(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Check where the tensors of an operation are, compute it, and say where its results are."""
    tensors = [each for each in tree_leaves((args, kwargs)) if isinstance(each, torch.Tensor)]
    there = [each for each in tensors if isinstance(each, Elsewhere)]
    if func in _INDEXING and isinstance(args[0], Elsewhere):
        tensors = [args[0], *args[2:3]]
    if there and func not in _COPIES:
        for each in tensors:
            if each.ndim and not isinstance(each, Elsewhere):
                shapes = [(each.device.type, tuple(each.shape)) for each in tensors]
                raise RuntimeError(f"{func} mixes devices: {shapes}")
    target = bool(there) if func is not _aten.copy_.default else isinstance(args[0], Elsewhere)
    if (device := kwargs.get("device")) is not None:
        target = _is_here(device)
        kwargs = {k: v for k, v in kwargs.items() if k not in ("pin_memory", "non_blocking")}
        kwargs["device"] = torch.device("cpu")
    values = tree_map_only(Elsewhere, lambda each: each.value, (args, kwargs))
    found = func(*values[0], **values[1])
    if not target:
        return found
    found = tree_map_only(torch.Tensor, Elsewhere, found)
    views = func._schema.is_mutable or any(each.alias_info for each in func._schema.returns)
    return return_and_correct_aliasing(func, args, kwargs, found) if views and there else found


class _Operations(TorchDispatchMode):
    """For what gets no tensor of the device: factories and copies to it."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if _is_here(kwargs.get("device")):
            return _run(func, args, kwargs)
        return func(*args, **kwargs)


class _Functions(TorchFunctionMode):
    """What torch's C++ would make on the device before any operation is seen."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func in (torch.tensor, torch.as_tensor) and _is_here(kwargs.get("device")):
            del kwargs["device"]
            return func(*args, **kwargs).to(NAME)
        if func is torch.Tensor.tolist and isinstance(args[0], Elsewhere):
            return args[0].value.tolist()
        if func in (torch.Tensor.__getitem__, torch.Tensor.__setitem__):
            args = (args[0], _as_tensors(args[1]), *args[2:])
        return func(*args, **kwargs)


def _as_tensors(index: Any) -> Any:
    """Lists and arrays of an indexing; they may lie on the CPU."""
    if isinstance(index, tuple):
        return tuple(map(_as_tensors, index))
    return torch.as_tensor(index) if isinstance(index, (list, np.ndarray)) else index


def _attention(q: Any, k: Any, v: Any, attn_mask: Any = None, *args: Any, **kwargs: Any) -> Any:
    return _aten._scaled_dot_product_attention_math(q, k, v, attn_mask, *args, **kwargs)[0]


def _autocast(device: str, *args: Any, **kwargs: Any) -> Any:
    return contextlib.nullcontext() if device == NAME else _real_autocast(device, *args, **kwargs)


F.scaled_dot_product_attention = _attention
_real_autocast, torch.autocast = torch.autocast, _autocast


@contextlib.contextmanager
def emulated() -> Iterator[None]:
    """Within, ``"emulated"`` is a device."""
    with _Functions(), _Operations():
        yield
