"""Trained models as files for ONNX Runtime; the vocabulary stays an input."""

from .class_words import ClassWords, read_class_words, text_fingerprint, words_of
from .comparison import Comparison, compare, speed
from .description import ModelDescription, describe, read_description
from .onnx_model import OnnxModel, export_onnx
from .session import open_session

__all__ = [
    "ClassWords",
    "Comparison",
    "ModelDescription",
    "OnnxModel",
    "compare",
    "describe",
    "export_onnx",
    "open_session",
    "read_class_words",
    "read_description",
    "speed",
    "text_fingerprint",
    "words_of",
]
