"""A warning where the batch differs from the one the learning rate was chosen for."""

from __future__ import annotations

from mmengine.config import ConfigDict
from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS


def batch_size_message(cfg: ConfigDict, num_processes: int) -> str | None:
    """Compare the effective batch (batch x processes x accumulation) with the recipe's.

    Args:
        cfg: a config with ``train_dataloader``, ``optim_wrapper`` and ``auto_scale_lr``.
        num_processes: GPUs, or processes on the CPU.

    Returns:
        What to warn of, or None where the batch is the recipe's, is scaled for, or is not said.
    """
    scale = cfg.get("auto_scale_lr") or {}
    base = scale.get("base_batch_size")
    loader = cfg.get("train_dataloader")
    if not base or not loader or "batch_size" not in loader:
        return None
    accumulation = (cfg.get("optim_wrapper") or {}).get("accumulative_counts", 1)
    batch = loader["batch_size"] * num_processes * accumulation
    # --auto-scale-lr knows nothing of accumulation, so with it only the plain case is settled.
    if batch == base or (scale.get("enable") and accumulation == 1):
        return None
    per_process = base / (num_processes * accumulation)
    fix = (
        f"set train_dataloader.batch_size={int(per_process)}, or "
        if per_process >= 1 and per_process == int(per_process)
        else ""
    )
    return (
        f"The effective batch is {batch} ({loader['batch_size']} x {num_processes} process(es) x "
        f"{accumulation} accumulated), but the learning rate was chosen for {base}: {fix}"
        "let --auto-scale-lr scale the learning rate."
    )


@HOOKS.register_module()
class BatchSizeHook(Hook):
    """Warn once before training where the effective batch differs from the recipe's."""

    def before_train(self, runner: Runner) -> None:
        """Log the warning, if there is one."""
        message = batch_size_message(runner.cfg, get_world_size())
        if message:
            runner.logger.warning(message)
