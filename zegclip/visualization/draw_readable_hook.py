"""tools/test.py --show-dir."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmengine.runner import Runner
from mmseg.engine.hooks import SegVisualizationHook
from mmseg.registry import HOOKS
from mmseg.structures import SegDataSample


@HOOKS.register_module()
class DrawReadableHook(SegVisualizationHook):
    """mmseg's, which reads each image again: those that were skipped are not drawn."""

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any, outputs: Sequence[SegDataSample]
    ) -> None:
        """Draw a batch's predictions into the images."""
        readable = [sample for sample in outputs if "unreadable" not in sample]
        super().after_test_iter(runner, batch_idx, data_batch, readable)
