"""Mixed precision on every machine: mmengine's wrapper on a GPU, bfloat16 without one."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.device import get_device
from mmengine.optim import AmpOptimWrapper as MMEngineAmpOptimWrapper
from mmengine.optim import OptimWrapper
from mmseg.registry import OPTIM_WRAPPERS

from zegclip.errors import InputError


@OPTIM_WRAPPERS.register_module()
class AmpOptimWrapper(MMEngineAmpOptimWrapper):
    """mmengine's ``AmpOptimWrapper``, which refuses to be built without a GPU, on a CPU too.

    It is registered under the same name in mmseg's registry, which our configs look into first,
    so that ``--amp`` of mmseg's own scripts works as well. On a CPU, autocast computes in
    bfloat16; its exponent is as wide as float32's, so no loss scaling is needed.

    Args:
        loss_scale: as in mmengine; without effect on a CPU.
        dtype: as in mmengine; a CPU takes ``bfloat16`` (its default) only.
        **kwargs: see mmengine's ``AmpOptimWrapper`` and ``OptimWrapper``.

    Raises:
        InputError: another ``dtype`` than bfloat16 on a CPU.
    """

    def __init__(
        self, loss_scale: Any = "dynamic", dtype: str | torch.dtype | None = None, **kwargs: Any
    ) -> None:
        if get_device() != "cpu":
            super().__init__(loss_scale=loss_scale, dtype=dtype, **kwargs)
            return
        if dtype not in (None, "bfloat16", torch.bfloat16):
            raise InputError(f"mixed precision on a CPU computes in bfloat16, not in {dtype}")
        kwargs.pop("use_fsdp", None)
        OptimWrapper.__init__(self, **kwargs)
        self._scale_update_param = None
        self.loss_scaler = torch.amp.GradScaler(device="cpu", enabled=False)
        self.cast_dtype = torch.bfloat16
