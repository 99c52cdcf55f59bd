"""torch's counter of floating-point operations, where attention may be fused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.utils.flop_counter import FlopCounterMode, flop_registry

# The counter knows the GPU's fused attention, not the CPU's.
for _end in ("", "_backward"):
    _on_cpu = getattr(torch.ops.aten, f"_scaled_dot_product_flash_attention_for_cpu{_end}")
    _on_gpu = getattr(torch.ops.aten, f"_scaled_dot_product_flash_attention{_end}")
    flop_registry[_on_cpu] = flop_registry[_on_gpu]


@contextmanager
def counting() -> Iterator[FlopCounterMode]:
    """torch's counter, which counts two operations for a multiply-add.

    Meanwhile ``nn.MultiheadAttention`` does without its fast path, a kernel that the counter does
    not see (of TagCLIP's head on VOC, 1.546 G multiply-adds, it would see 1.524).
    """
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with FlopCounterMode(display=False) as counter:
            yield counter
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
