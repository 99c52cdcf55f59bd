"""Checkpoints, of which the one at half the schedule stays."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner
from mmseg.registry import HOOKS


@HOOKS.register_module()
class HalfwayCheckpointHook(CheckpointHook):
    """mmengine's ``CheckpointHook``, which never removes the checkpoint at half the schedule.

    The transductive setting starts from there (ZegCLIP, Sec. 4.1: after half of the inductive
    iterations), when ``max_keep_ckpts`` would have removed it long ago. It is saved even where
    ``interval`` does not meet it. Everything else, and all arguments, are mmengine's.
    """

    def before_train(self, runner: Runner) -> None:
        """As mmengine's; resumed from the very checkpoint that stays, it still stays."""
        hub = runner.message_hub
        if not self.by_epoch and "keep_ckpt_ids" in hub.runtime_info:
            kept = [step for step in hub.get_info("keep_ckpt_ids") if step != self._half(runner)]
            hub.update_info("keep_ckpt_ids", kept)
        super().before_train(runner)

    @staticmethod
    def _half(runner: Runner) -> int:
        return runner.max_iters // 2

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Any = None,
    ) -> None:
        """Save where mmengine does, and at half the schedule."""
        super().after_train_iter(runner, batch_idx, data_batch, outputs)
        now, saved = (
            runner.iter + 1,
            self.every_n_train_iters(runner, self.interval, self.save_begin),
        )
        if not self.by_epoch and now == self._half(runner) and not saved:
            self._save_checkpoint(runner)

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        super()._save_checkpoint_with_step(runner, step, meta)
        if self.max_keep_ckpts > 0 and step == self._half(runner) and not self.by_epoch:
            self.keep_ckpt_ids.remove(step)  # of those that are kept, and removed, in turn
            runner.message_hub.update_info("keep_ckpt_ids", list(self.keep_ckpt_ids))
