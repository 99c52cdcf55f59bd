"""Mixed precision on every machine: mmengine's wrapper on a GPU, and the same without one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.device import get_device
from mmengine.optim import AmpOptimWrapper as MMEngineAmpOptimWrapper
from mmengine.optim import OptimWrapper
from mmseg.registry import OPTIM_WRAPPERS
from torch import nn

from zegclip.errors import InputError


@OPTIM_WRAPPERS.register_module()
class AmpOptimWrapper(MMEngineAmpOptimWrapper):
    """mmengine's ``AmpOptimWrapper``, which refuses to be built without a GPU, on a CPU too.

    It is registered under the same name in mmseg's registry, which our configs look into first,
    so that ``--amp`` of mmseg's own scripts works as well.

    Args:
        loss_scale: as in mmengine, for float16 alone: bfloat16's exponent is as wide as float32's.
            On a CPU always dynamic.
        dtype: ``"float16"`` or ``"bfloat16"``; default: float16 on a GPU, bfloat16 on a CPU.
        **kwargs: see mmengine's ``AmpOptimWrapper`` and ``OptimWrapper``.

    Raises:
        InputError: another ``dtype`` on a CPU.
    """

    def __init__(
        self, loss_scale: Any = "dynamic", dtype: str | torch.dtype | None = None, **kwargs: Any
    ) -> None:
        if get_device() not in ("cpu", "mps"):
            super().__init__(loss_scale=loss_scale, dtype=dtype, **kwargs)
            if str(dtype).endswith("bfloat16"):  # mmengine would scale its losses, too
                self.loss_scaler = torch.amp.GradScaler(get_device(), enabled=False)
            return
        name = str(dtype or "bfloat16").removeprefix("torch.")
        if name not in ("float16", "bfloat16"):
            raise InputError(f"mixed precision computes in float16 or bfloat16, not in {name}")
        kwargs.pop("use_fsdp", None)
        OptimWrapper.__init__(self, **kwargs)
        self._scale_update_param = None
        self.loss_scaler = torch.amp.GradScaler(get_device(), enabled=name == "float16")
        self.cast_dtype = getattr(torch, name)

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """The context of a forward pass. (mmengine's knows no float16 on a CPU.)"""
        with OptimWrapper.optim_context(self, model), torch.autocast(get_device(), self.cast_dtype):
            yield

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """As mmengine's; a run in bfloat16 has no scale to go on with, but may go on."""
        state_dict = dict(state_dict)
        if not state_dict.get("loss_scaler"):
            state_dict.pop("loss_scaler", None)
        super().load_state_dict(state_dict)
