"""What is written down of finished runs, and their means over the seeds."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from .training_runs import TrainingRun

SCORES = ("pAcc", "mIoU_S", "mIoU_U", "hIoU")


def run_record(run: TrainingRun) -> dict[str, Any]:
    """Seed, scores in percent, code version and command of a finished run.

    Args:
        run: one whose :meth:`TrainingRun.report` is there.
    """
    report = run.report()
    if report is None:
        raise ValueError(f"{run.name}, seed {run.seed}, is not finished: {run.folder}")
    scores = {key: report[key] for key in SCORES}
    code = report["protocol"].get("code")
    return {"seed": run.seed, **scores, "code": code, "command": run.command_line()}


def means(records: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Mean and standard deviation (of a sample, n - 1; 0 for one run) by score.

    Args:
        records: of :func:`run_record`, one a seed.
    """
    return {
        key: {
            "mean": statistics.fmean(record[key] for record in records),
            "std": statistics.stdev(r[key] for r in records) if len(records) > 1 else 0.0,
        }
        for key in SCORES
    }


def score_line(scores: Mapping[str, Any]) -> str:
    """Scores in a line of a terminal."""
    return "  ".join(f"{key} {scores[key]:.1f}" for key in SCORES if key in scores)
