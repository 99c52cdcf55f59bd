"""Predictions of a few images, drawn at each validation for TensorBoard or Weights & Biases."""

from __future__ import annotations

from typing import Any

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmengine.visualization import LocalVisBackend
from mmseg.registry import HOOKS

from .choice import images_with
from .figures import predictions
from .method import Method
from .sheet import figure_pixels


@HOOKS.register_module()
class PredictionSheetHook(Hook):
    """Add a sheet (image, ground truth, prediction, extra maps) to the run's visualizer.

    It draws the same images each time, those that show most unseen classes. They are predicted once
    more, by the first process. Where the visualizer has only mmengine's ``LocalVisBackend``, which
    is the default, nothing is drawn, so the hook costs nothing until a ``TensorboardVisBackend`` or
    ``WandbVisBackend`` is in ``visualizer.vis_backends``.

    Args:
        interval: draw at every `interval`-th validation, the first one included.
        num_images: rows of the sheet.
    """

    def __init__(self, interval: int = 1, num_images: int = 4) -> None:
        self.interval = interval
        self.num_images = num_images
        self._validations = 0
        self._indices: list[int] | None = None

    def after_val_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Draw with the first batch: model, weights and vocabulary are then those validated."""
        if batch_idx == 0:
            if self._validations % self.interval == 0:
                self._draw(runner)
            self._validations += 1

    @master_only
    def _draw(self, runner: Runner) -> None:
        every = runner.visualizer._vis_backends.values()
        backends = [each for each in every if not isinstance(each, LocalVisBackend)]
        if not backends:
            return
        dataset = runner.val_dataloader.dataset
        if self._indices is None:
            self._indices = images_with(dataset, self.num_images)
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        method = Method("Prediction", model, dataset, self._indices)
        sheet = figure_pixels(predictions([method], panel_height=160, with_extra_maps=True))
        for backend in backends:
            backend.add_image("val/predictions", sheet, step=runner.iter)
