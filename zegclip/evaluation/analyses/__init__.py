"""What a method claims beyond its scores, as numbers: measures of one pass over a data set.

The measures that every method has are here; those that one method alone has are in its package.
"""

from . import (  # noqa: F401  (they register themselves)
    background,
    boundaries,
    calibration,
    misidentification,
    self_training,
    training_curve,
)
from .analysis import ANALYSES, AnalysedImage, Analysis, analyse
from .decoder_tokens import DecoderTokens, Tokens, calls_of
from .detection import Detector
from .fragments import Fragments

__all__ = [
    "ANALYSES",
    "AnalysedImage",
    "Analysis",
    "DecoderTokens",
    "Detector",
    "Fragments",
    "Tokens",
    "analyse",
    "calls_of",
]
