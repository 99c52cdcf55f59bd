"""A step as a CUDA graph: hundreds of small kernels are started by one call."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


class Captured:
    """A step on tensors of few shapes, captured as a CUDA graph for each of them.

    Args:
        step: from tensors by name to one; waits for no result and keeps all shapes.
        state: what the step changes in place, some of it only there after a first step (then it is
            zero before). Capturing leaves it as it was.

    Example:
        >>> step = Captured(train_step, state)  # doctest: +SKIP
        >>> losses = step({"images": images, "tokens": tokens})  # doctest: +SKIP
    """

    def __init__(
        self, step: Callable[[dict[str, Tensor]], Tensor], state: Callable[[], list[Tensor]]
    ):
        self.step, self.state = step, state
        self.graphs: dict[tuple, tuple[torch.cuda.CUDAGraph, dict[str, Tensor], Tensor]] = {}

    def __call__(self, inputs: dict[str, Tensor]) -> Tensor:
        """The step's result, which the next step of this shape overwrites."""
        key = tuple((name, *tensor.shape) for name, tensor in inputs.items())
        if key not in self.graphs:
            self.graphs[key] = self.capture(inputs)
        graph, static, result = self.graphs[key]
        for name, tensor in inputs.items():
            static[name].copy_(tensor)
        graph.replay()
        return result

    def capture(
        self, inputs: dict[str, Tensor]
    ) -> tuple[torch.cuda.CUDAGraph, dict[str, Tensor], Tensor]:
        """The graph, the tensors that it reads, and its result."""
        static = {name: tensor.clone() for name, tensor in inputs.items()}
        before = {id(tensor): tensor.detach().clone() for tensor in self.state()}
        # A few steps first, on a stream of their own, as torch asks for.
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                self.step(static)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            result = self.step(static)
        with torch.no_grad():
            for tensor in self.state():
                tensor.copy_(before.get(id(tensor), torch.zeros_like(tensor)))
        return graph, static, result
