"""Warnings where a run keeps the recipe's numbers and loses what they were chosen for."""

from __future__ import annotations

from collections.abc import Iterator

from mmengine.config import ConfigDict
from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS


def recipe_warnings(cfg: ConfigDict, num_processes: int) -> Iterator[str]:
    """Compare batch, number of updates and warm-up with the recipe's.

    Args:
        cfg: a config with ``train_dataloader``, ``optim_wrapper``, ``param_scheduler``,
            ``train_cfg`` and ``auto_scale_lr``; what is not said is not looked at.
        num_processes: GPUs, or processes on the CPU.

    Yields:
        What to warn of.
    """
    accumulation = (cfg.get("optim_wrapper") or {}).get("accumulative_counts", 1)
    iterations = (cfg.get("train_cfg") or {}).get("max_iters")
    scale, loader = cfg.get("auto_scale_lr") or {}, cfg.get("train_dataloader") or {}
    base, batch = scale.get("base_batch_size"), loader.get("batch_size")
    if base and batch:
        # The effective batch. (--auto-scale-lr knows nothing of accumulation.)
        parts, size = num_processes * accumulation, batch * num_processes * accumulation
        if size != base and not (scale.get("enable") and accumulation == 1):
            fixes = []
            if base % parts == 0:
                fixes.append(f"set train_dataloader.batch_size={base // parts}")
            if accumulation == 1:
                fixes.append("let --auto-scale-lr scale the learning rate")
            yield (
                f"The effective batch is {size} ({batch} x {num_processes} process(es) x "
                f"{accumulation} accumulated), but the learning rate was chosen for {base}: "
                f"{', or '.join(fixes) or 'scale optim_wrapper.optimizer.lr with it'}."
            )
    if iterations and accumulation > 1:
        yield (
            f"{iterations} iterations of {accumulation} accumulated batches are "
            f"{iterations // accumulation} updates (mmengine counts batches): for as many updates "
            f"as without, multiply train_cfg.max_iters, its val_interval, the checkpoint's "
            f"interval and the warm-up's end by {accumulation}. Each batch's loss is over its "
            "own classes, so the sum is not quite the large batch's."
        )
    schedulers = cfg.get("param_scheduler") or []
    for each in schedulers if isinstance(schedulers, list) else [schedulers]:
        end, enough = each.get("end") or 0, max(1, (iterations or 0) * 3 // 40)
        if each.get("type") == "LinearLR" and iterations and 4 * end > iterations and end > enough:
            yield (
                f"The warm-up takes {end} of {iterations} iterations, so that the learning rate "
                "hardly reaches its value: let it end earlier, "
                f"--cfg-options param_scheduler.0.end={enough}."
            )


@HOOKS.register_module()
class RecipeHook(Hook):
    """Warn once before training where the recipe's numbers do not fit the run."""

    def before_train(self, runner: Runner) -> None:
        """Log the warnings."""
        for message in recipe_warnings(runner.cfg, get_world_size()):
            runner.logger.warning(message)
