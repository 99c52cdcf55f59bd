"""Metric and report."""

from .from_predictions import score_folder
from .protocol import data_protocol, protocol_fingerprint, protocol_line
from .report import ReportHook, write_report
from .save_predictions_hook import SavePredictionsHook
from .scores import harmonic_mean, scores
from .table import render_scores
from .zero_shot_metric import ZeroShotIoUMetric

__all__ = [
    "ReportHook",
    "SavePredictionsHook",
    "ZeroShotIoUMetric",
    "data_protocol",
    "harmonic_mean",
    "protocol_fingerprint",
    "protocol_line",
    "render_scores",
    "score_folder",
    "scores",
    "write_report",
]
