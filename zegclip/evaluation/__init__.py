"""Metric and report, and analyses of what is behind the scores."""

from .analyses import ANALYSES, AnalysedImage, Analysis, analyse
from .from_predictions import score_folder
from .protocol import data_protocol, protocol_fingerprint, protocol_line
from .report import ReportHook, code_version, write_report
from .scores import (
    COLUMNS,
    CROSS_DATASET_COLUMNS,
    confusion_matrix,
    render_scores,
    score_names,
    scores,
)
from .training import training_fingerprint
from .zero_shot_metric import ZeroShotIoUMetric

__all__ = [
    "ANALYSES",
    "COLUMNS",
    "CROSS_DATASET_COLUMNS",
    "AnalysedImage",
    "Analysis",
    "ReportHook",
    "ZeroShotIoUMetric",
    "analyse",
    "code_version",
    "confusion_matrix",
    "data_protocol",
    "protocol_fingerprint",
    "protocol_line",
    "render_scores",
    "score_folder",
    "score_names",
    "scores",
    "training_fingerprint",
    "write_report",
]
