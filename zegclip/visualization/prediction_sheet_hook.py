"""Predictions of a few images, drawn at each validation for TensorBoard or Weights & Biases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmengine.visualization import LocalVisBackend
from mmseg.registry import HOOKS

from .choice import images_with_unseen
from .prediction_sheet import prediction_sheet


@HOOKS.register_module()
class PredictionSheetHook(Hook):
    """Add a sheet (image, ground truth, prediction, trusty map) to the run's visualizer.

    It draws the same images each time: of the first ``among`` those that show most unseen classes.
    They are predicted once more, by the first process. Where the visualizer has only mmengine's
    ``LocalVisBackend``, which is the default, nothing is drawn and nothing is written, so the hook
    costs nothing until a ``TensorboardVisBackend`` or ``WandbVisBackend`` is in
    ``visualizer.vis_backends``.

    Args:
        interval: draw at every so many validations, the first one included.
        num_images: rows of the sheet.
        among: images that are looked at, once, to choose from.
        panel_height: of a picture, pixels.
        to_disk: whether the local backend gets the sheets too (``vis_data/vis_image``, a PNG a
            validation).
    """

    # The name under which the sheets are found.
    TAG = "val/predictions"

    def __init__(
        self,
        interval: int = 1,
        num_images: int = 4,
        among: int = 50,
        panel_height: int = 160,
        to_disk: bool = False,
    ) -> None:
        for word, value in (("interval", interval), ("num_images", num_images), ("among", among)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{word}={value!r} must be a whole number from 1")
        self.interval = interval
        self.num_images = num_images
        self.among = among
        self.panel_height = panel_height
        self.to_disk = to_disk
        self._validations = 0
        self._indices: list[int] | None = None

    def after_val_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Sequence[Any] | None = None,
    ) -> None:
        """Draw with the first batch: model, weights and vocabulary are then those validated."""
        if batch_idx == 0:
            self._validations += 1
            if (self._validations - 1) % self.interval == 0:
                self._draw(runner)

    @master_only
    def _draw(self, runner: Runner) -> None:
        backends = [
            backend
            for backend in runner.visualizer._vis_backends.values()
            if self.to_disk or not isinstance(backend, LocalVisBackend)
        ]
        if not backends:
            return
        dataset = runner.val_dataloader.dataset
        if self._indices is None:
            self._indices = images_with_unseen(dataset, self.num_images, self.among)
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        sheet = np.asarray(prediction_sheet(model, dataset, self._indices, self.panel_height))
        for backend in backends:
            # In a file's name the tag would be a folder.
            tag = self.TAG.replace("/", "_") if isinstance(backend, LocalVisBackend) else self.TAG
            backend.add_image(tag, sheet, step=runner.iter)
