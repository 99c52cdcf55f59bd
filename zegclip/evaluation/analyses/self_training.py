"""How self-training went: which class took over, and whether the switch to it was a jolt."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

from .analysis import ANALYSES, AnalysedImage, Analysis
from .training_curve import logged

PREFIX = "pseudo_labelled/"


@ANALYSES.register_module()
class SelfTraining(Analysis):
    """Pseudo-labels by class at the first and the last line of the log, and the losses between.

    From what :class:`~zegclip.engine.PseudoLabelHook` and mmengine log beside the checkpoint.
    """

    section = "self-training"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.entries = logged(Path(self.checkpoint).parent)
        # By class its shares of the pseudo-labelled pixels, in percent.
        self.shares = {
            name: [e[PREFIX + name] for e in self.entries if PREFIX + name in e]
            for name in self.vocabulary.unseen
        }

    def applies(self) -> bool:
        return super().applies() and any(self.shares.values())

    def count(self, image: AnalysedImage) -> int:
        return 0  # it is about no image

    def result(self) -> dict[str, Any]:
        steps = [entry for entry in self.entries if "loss" in entry]
        losses = [entry["loss"] for entry in steps]
        return {
            "first": {name: shares[0] for name, shares in self.shares.items()},
            "last": {name: shares[-1] for name, shares in self.shares.items()},
            "largest_loss_over_median": max(losses) / statistics.median(losses),
            "first_learning_rate": steps[0]["lr"],
            "curve": self.shares,
        }
