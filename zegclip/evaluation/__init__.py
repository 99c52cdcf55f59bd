"""Metric and report."""

from .protocol import data_protocol, protocol_fingerprint, protocol_line
from .report import ReportHook, write_report
from .scores import harmonic_mean, scores
from .table import render_scores
from .zero_shot_metric import EvaluationError, ZeroShotIoUMetric

__all__ = [
    "EvaluationError",
    "ReportHook",
    "ZeroShotIoUMetric",
    "data_protocol",
    "harmonic_mean",
    "protocol_fingerprint",
    "protocol_line",
    "render_scores",
    "scores",
    "write_report",
]
