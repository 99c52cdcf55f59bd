"""Metric and report."""

from .from_predictions import score_folder
from .protocol import data_protocol, protocol_fingerprint, protocol_line, training_fingerprint
from .report import ReportHook, code_version, write_report
from .save_predictions_hook import SavePredictionsHook
from .scores import COLUMNS, CROSS_DATASET_COLUMNS, harmonic_mean, render_scores, scores
from .zero_shot_metric import ZeroShotIoUMetric

__all__ = [
    "COLUMNS",
    "CROSS_DATASET_COLUMNS",
    "ReportHook",
    "SavePredictionsHook",
    "ZeroShotIoUMetric",
    "code_version",
    "data_protocol",
    "harmonic_mean",
    "protocol_fingerprint",
    "protocol_line",
    "render_scores",
    "score_folder",
    "scores",
    "training_fingerprint",
    "write_report",
]
