"""Metric and report."""

from .report import ReportHook, data_protocol, write_report
from .scores import harmonic_mean, scores
from .table import render_scores
from .zero_shot_metric import EvaluationError, ZeroShotIoUMetric

__all__ = [
    "EvaluationError",
    "ReportHook",
    "ZeroShotIoUMetric",
    "data_protocol",
    "harmonic_mean",
    "render_scores",
    "scores",
    "write_report",
]
