"""Checkpoint hooks: files of plain data, and the one at half the schedule is kept."""

from __future__ import annotations

import enum
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from mmengine.dist import is_main_process
from mmengine.hooks import CheckpointHook, Hook
from mmengine.logging import HistoryBuffer
from mmengine.runner import BaseLoop, Runner
from mmseg.registry import HOOKS

_BUFFER_KEYS = {"log_history", "count_history", "max_length"}
# Parts that only describe the run: what is not plain there is kept as text.
_DESCRIPTIVE = ("meta", "message_hub")


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
    if isinstance(value, (list, tuple, set)):
        items_of = (to_plain(v, f"{where}[{i}]") for i, v in enumerate(value))
        return next(kind for kind in (list, tuple, set) if isinstance(value, kind))(items_of)
    if isinstance(value, enum.Enum):
        return to_plain(value.value, where)
    for kind in (int, float, str):  # classes built on them
        if isinstance(value, kind):
            return kind(value)
    if where.split(".")[1:2] and where.split(".")[1] in _DESCRIPTIVE:
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


@HOOKS.register_module()
class HalfwayCheckpointHook(CheckpointHook):
    """mmengine's ``CheckpointHook``, which never removes the checkpoint at half the schedule.

    The transductive setting starts from there (ZegCLIP, Sec. 4.1: after half of the inductive
    iterations), when ``max_keep_ckpts`` would have removed it long ago. It is saved even where
    ``interval`` does not meet it. Besides, an old one is removed only after the new one is written,
    and a validation without the number of ``save_best`` leaves the best one as it is. All arguments
    are mmengine's.
    """

    _default_greater_keys = (*CheckpointHook._default_greater_keys, "hIoU")

    @staticmethod
    def _half(runner: Runner) -> int:
        return runner.max_iters // 2

    def before_train(self, runner: Runner) -> None:
        """As mmengine's, without the half-way checkpoint among those that a resumed run removes."""
        hub = runner.message_hub
        if not self.by_epoch and "keep_ckpt_ids" in hub.runtime_info:
            kept = [step for step in hub.get_info("keep_ckpt_ids") if step != self._half(runner)]
            hub.update_info("keep_ckpt_ids", kept)
        super().before_train(runner)

    def _save_best_checkpoint(self, runner: Runner, metrics: dict[str, Any]) -> None:
        absent = set(self.save_best or ()) - {"auto", *metrics}
        if metrics:
            super()._save_best_checkpoint(runner, metrics | dict.fromkeys(absent))

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Save where mmengine does, and at half the schedule."""
        super().after_train_iter(runner, batch_idx, data_batch, outputs)
        saved = self.every_n_train_iters(runner, self.interval, self.save_begin)
        if not self.by_epoch and runner.iter + 1 == self._half(runner) and not saved:
            self._save_checkpoint(runner)

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        outdated = None
        if self.max_keep_ckpts > 0 and len(self.keep_ckpt_ids) == self.max_keep_ckpts:
            # mmengine would remove it before there is another.
            outdated = None if self.keep_ckpt_ids[-1] == step else self.keep_ckpt_ids.popleft()
        super()._save_checkpoint_with_step(runner, step, meta)
        if outdated is not None and is_main_process():
            path = self.file_backend.join_path(self.out_dir, self.filename_tmpl.format(outdated))
            if self.file_backend.isfile(path):
                self.file_backend.remove(path)
        if self.max_keep_ckpts > 0 and step == self._half(runner) and not self.by_epoch:
            self.keep_ckpt_ids.remove(step)  # off the list of those that are removed in turn
            runner.message_hub.update_info("keep_ckpt_ids", list(self.keep_ckpt_ids))
