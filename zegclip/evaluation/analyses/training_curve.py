"""Seen and unseen classes over the iterations of a training: overfitting, as a curve."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .analysis import ANALYSES, AnalysedImage, Analysis

if TYPE_CHECKING:
    from matplotlib.axes import Axes

KEYS = ("mIoU_S", "mIoU_U")


def logged(folder: Path) -> list[dict[str, Any]]:
    """What mmengine logged of the training in a work dir, entry by entry.

    Args:
        folder: the work dir. A training that was resumed has several logs, and so has a folder that
            was used again: from where a log begins, what older ones hold is of no checkpoint there.
    """
    entries: list[dict[str, Any]] = []
    for file in sorted(folder.glob("*/vis_data/scalars.json")):
        log = []
        for line in file.read_text(encoding="utf-8").splitlines():
            with suppress(json.JSONDecodeError):  # the last line of a run that was killed
                log.append(json.loads(line))
        if log:
            start = min(entry["step"] for entry in log)
            # (One that is resumed begins with a validation, of what was trained before.)
            before = start + any("mIoU" in key for key in log[0])
            entries = [entry for entry in entries if entry["step"] < before] + log
    return entries


def validations(folder: Path) -> list[dict[str, float]]:
    """The validations of a run by iteration; of several at one iteration the last one counts.

    Args:
        folder: the work dir.

    Returns:
        ``iteration``, ``mIoU_S`` and ``mIoU_U`` of each; empty where none was logged.
    """
    found = {
        entry["step"]: {"iteration": entry["step"], **{key: entry[key] for key in KEYS}}
        for entry in logged(folder)
        if set(KEYS) <= set(entry)
    }
    return [found[step] for step in sorted(found)]


@ANALYSES.register_module()
class TrainingCurve(Analysis):
    """mIoU(S) and mIoU(U) at each validation (``train_cfg.val_interval``) of the training."""

    section = "training"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.validations = validations(Path(self.checkpoint).parent)

    def applies(self) -> bool:
        return len(self.validations) > 1

    def count(self, image: AnalysedImage) -> int:
        return 0  # it is about no image

    def result(self) -> dict[str, Any]:
        every = self.validations
        best = max(every, key=lambda each: each["mIoU_U"])
        return {
            "best_mIoU_U": best["mIoU_U"],
            "best_mIoU_U_at_iteration": best["iteration"],
            "mIoU_U_lost_since": best["mIoU_U"] - every[-1]["mIoU_U"],
            "mIoU_S_won_since": every[-1]["mIoU_S"] - best["mIoU_S"],
            "curve": {key: [each[key] for each in every] for key in ("iteration", *KEYS)},
        }

    @staticmethod
    def draw(axes: Axes, results: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        for number, (title, runs) in enumerate(results.items()):
            for run in runs:
                steps, seen, unseen = (run["curve"][key] for key in ("iteration", *KEYS))
                axes.plot(steps, seen, ":", color=f"C{number}")
                axes.plot(steps, unseen, color=f"C{number}", label=title if run is runs[0] else "")
        axes.set(title="mIoU(U), and mIoU(S) dotted", xlabel="iteration", ylabel="mIoU")
