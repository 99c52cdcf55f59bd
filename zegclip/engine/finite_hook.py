"""Numbers that went wrong end a training, while there is a checkpoint from before."""

from __future__ import annotations

import math
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner, find_latest_checkpoint
from mmseg.registry import HOOKS

from zegclip.errors import InputError

# Steps in a row that float16's loss scaling may leave out, and the least scale: it is halved with
# every step whose gradients are not finite, and starts far above 1.
_SKIPPED, _LEAST_SCALE = 20, 2**-10


@HOOKS.register_module()
class FiniteHook(Hook):
    """Stop where a loss is NaN or infinite, or a weight that would be saved.

    In float16 the loss scaler leaves such a step out, and the training goes on; 20 of them in a
    row end it as well, and gradients that no scale makes finite. (For its log mmengine waits for
    the losses' values in each step anyway.)
    """

    priority = "VERY_HIGH"  # before a checkpoint is written

    def __init__(self) -> None:
        self._skipped = 0

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Look at the losses of a step.

        Raises:
            InputError: one is not finite; names the iteration and the images.
        """
        values = {name: value.item() for name, value in (outputs or {}).items()}
        wrong = [f"{name} is {v}" for name, v in values.items() if not math.isfinite(v)]
        scaler = getattr(runner.optim_wrapper, "loss_scaler", None)
        if not wrong:
            self._skipped = 0
            if scaler is not None and scaler.is_enabled() and scaler.get_scale() < _LEAST_SCALE:
                _stop(
                    runner,
                    f"iteration {runner.iter + 1}: gradients are not finite, whatever the loss is "
                    "scaled by, and nothing is learned any more",
                )
            return
        self._skipped += 1
        samples = data_batch.get("data_samples", ()) if isinstance(data_batch, dict) else ()
        images = ", ".join(str(sample.metainfo.get("img_path", "?")) for sample in samples)
        text = f"iteration {runner.iter + 1}: {', '.join(wrong)} (images {images})"
        if scaler is None or not scaler.is_enabled() or self._skipped >= _SKIPPED:
            _stop(runner, text)
        runner.logger.warning(f"{text}; float16's loss scaling leaves this step out")

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Look at the weights.

        Raises:
            InputError: one is not finite; the checkpoint is not written.
        """
        for name, value in runner.model.named_parameters():
            if value.requires_grad and not value.isfinite().all():
                step = checkpoint["meta"]["iter"]
                _stop(runner, f"iteration {step}: the weight {name} is not finite, and not saved")


def _stop(runner: Runner, text: str) -> None:
    newest = find_latest_checkpoint(runner.work_dir)
    raise InputError(
        f"{text}. The last good checkpoint is {newest or 'none'}. A smaller learning rate "
        "(optim_wrapper.optimizer.lr), optim_wrapper.clip_grad.max_norm, or training without --amp "
        "may help"
    )
