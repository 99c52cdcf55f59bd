"""Checkpoints as files of plain data."""

from __future__ import annotations

import enum
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer
from mmengine.runner import BaseLoop, Runner
from mmseg.registry import HOOKS

_BUFFER_KEYS = {"log_history", "count_history", "max_length"}


def to_plain(value: Any, where: str = "checkpoint") -> Any:
    """Copy ``value`` with only what ``torch.load(weights_only=True)`` reads without exceptions.

    Tensors, numbers, text, None and lists, tuples, sets and dicts of them stay what they are;
    numpy scalars become numbers, numpy arrays lists, and mmengine's history buffers dicts of two
    tensors (see :func:`restore_buffers`).

    Args:
        value: anything in a checkpoint.
        where: its path in the checkpoint, for messages.

    Raises:
        TypeError: an object of another kind in the part that training resumes from.
    """
    if value is None or type(value) in (bool, int, float, str, bytes, torch.device, torch.dtype):
        return value
    if isinstance(value, torch.Tensor):
        return value.detach()
    if isinstance(value, HistoryBuffer):
        log_history, count_history = value.data
        return {
            "log_history": torch.tensor(log_history),
            "count_history": torch.tensor(count_history),
            "max_length": int(value.max_length),
        }
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    if isinstance(value, Mapping):
        items = ((to_plain(k, where), to_plain(v, f"{where}.{k}")) for k, v in value.items())
        plain: dict = OrderedDict(items) if isinstance(value, OrderedDict) else dict(items)
        if hasattr(value, "_metadata"):  # the modules' versions in a state dict
            plain._metadata = to_plain(value._metadata, where)  # type: ignore[attr-defined]
        return plain
    for kind in (list, tuple, set):
        if isinstance(value, kind):
            return kind(to_plain(v, f"{where}[{i}]") for i, v in enumerate(value))
    if isinstance(value, enum.Enum):
        return to_plain(value.value, where)
    for plain_kind in (int, float, str):  # classes built on them
        if isinstance(value, plain_kind):
            return plain_kind(value)
    if where.startswith(("checkpoint.meta.", "checkpoint.message_hub.")):  # only describe the run
        return str(value)
    raise TypeError(
        f"{where} is a {type(value).__module__}.{type(value).__qualname__}: a checkpoint may hold "
        "only tensors, numbers and text, so that it can be loaded safely"
    )


def restore_buffers(log_scalars: Mapping[str, Any]) -> dict[str, Any]:
    """Turn the dicts that :func:`to_plain` made of history buffers into history buffers again."""
    return {
        name: HistoryBuffer(
            value["log_history"].cpu().numpy(),
            value["count_history"].cpu().numpy(),
            max_length=value["max_length"],
        )
        if isinstance(value, Mapping) and value.keys() == _BUFFER_KEYS
        else value
        for name, value in log_scalars.items()
    }


@HOOKS.register_module()
class PlainCheckpointHook(Hook):
    """Save checkpoints as plain data, and restore what mmengine needs as objects when loading.

    mmengine's checkpoints hold numpy arrays, numpy scalars and objects of its own, which torch
    from 2.6 on refuses to load. Rather than switching that check off, everything is saved in a
    form that passes it. Nothing is lost: a resumed run has the same optimiser, schedulers,
    iteration and logged history.
    """

    # After every other hook has put in what it wants to save.
    priority = "LOWEST"

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Replace the checkpoint's content in place by plain values."""
        checkpoint.update(to_plain(checkpoint))

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Restore history buffers; keep the data set's own metainfo where it says the same.

        A config's text is dropped: mmengine would run it as Python when it resumes.
        """
        hub = checkpoint.get("message_hub")
        if isinstance(hub, dict) and "log_scalars" in hub:
            hub["log_scalars"] = restore_buffers(hub["log_scalars"])
        meta = checkpoint.get("meta")
        if isinstance(meta, dict):
            meta.pop("config", None)
        # mmengine compares pickles, in which equal values can differ: with the very same object
        # it warns only where the data set has changed.
        if isinstance(meta, dict) and isinstance(runner._train_loop, BaseLoop):
            now = getattr(runner.train_dataloader.dataset, "metainfo", None)
            if now is not None and to_plain(now, "checkpoint.meta") == meta.get("dataset_meta"):
                meta["dataset_meta"] = now
