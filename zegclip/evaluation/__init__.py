"""Metric and report."""

from .from_predictions import prediction_protocol, score_predictions
from .protocol import data_protocol, protocol_fingerprint, protocol_line
from .report import ReportHook, write_report
from .scores import harmonic_mean, scores
from .table import COLUMNS, CROSS_DATASET_COLUMNS, render_scores
from .zero_shot_metric import ZeroShotIoUMetric

__all__ = [
    "COLUMNS",
    "CROSS_DATASET_COLUMNS",
    "ReportHook",
    "ZeroShotIoUMetric",
    "data_protocol",
    "harmonic_mean",
    "prediction_protocol",
    "protocol_fingerprint",
    "protocol_line",
    "render_scores",
    "score_predictions",
    "scores",
    "write_report",
]
