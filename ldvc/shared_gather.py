"""Gathering that costs no memory in training: nothing is kept, and one gradient is added up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


@contextmanager
def gathered_again(*gathered: tuple[Tensor, Callable[[], Tensor]]) -> Iterator[None]:
    """Within, autograd keeps no copy of gathered tensors: the backward pass gathers them again.

    Without it a layer's memory would be k times that of its keys and values. Inside an activation
    checkpoint of one's own around the layer, these hooks take the place of the checkpoint's: the
    keys and values themselves are then kept.

    Args:
        gathered: contiguous tensors, each with the function that makes it.
    """
    makers = {tensor.untyped_storage().data_ptr(): make for tensor, make in gathered}

    def pack(tensor: Tensor) -> Any:
        make = makers.get(tensor.untyped_storage().data_ptr())
        if make is None:
            return tensor
        return make, tensor.size(), tensor.stride(), tensor.storage_offset()

    def unpack(packed: Any) -> Tensor:
        if isinstance(packed, Tensor):
            return packed
        make, *view = packed
        with torch.no_grad():
            return make().as_strided(*view)

    with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
        yield


class SharedGather(torch.autograd.Function):
    """Rows of a matrix, gathered in parts whose gradients are added up in one place.

    Autograd's own gathering would make a gradient of the whole matrix for every part.
    """

    @staticmethod
    def forward(ctx: Any, source: Tensor, rows: Tensor, gradient: SharedGradient) -> Tensor:
        ctx.rows, ctx.shape, ctx.gradient = rows, source.shape, gradient
        return source.index_select(0, rows)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, None, None]:
        return ctx.gradient.add(ctx.shape, ctx.rows, gradient), None, None


class SharedGradient:
    """The gradient of a matrix of which ``parts`` parts are gathered."""

    def __init__(self, parts: int) -> None:
        self.parts = parts
        self._left = parts
        self._sum: Tensor | None = None

    def add(self, shape: torch.Size, rows: Tensor, gradient: Tensor) -> Tensor | None:
        """Add a part's gradient; the last part gets the sum, the others ``None``."""
        if self._sum is None:
            self._sum = gradient.new_zeros(shape)
        self._sum.index_add_(0, rows, gradient)
        self._left -= 1
        if self._left:
            return None
        whole, self._sum, self._left = self._sum, None, self.parts
        return whole
