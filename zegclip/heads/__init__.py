"""Heads: the base of all methods, ZegCLIP's, and CLIP's without training."""

from .atm_decoder import ATTENTION_MEANING, ATMDecoder, ATMDecoderLayer
from .atm_head import ATMHead
from .base import HeadOutput, Prediction, ZeroShotHead, upsample
from .layers import (
    AttentionLogits,
    CrossAttention,
    MultiHeadAttention,
    RelationshipDescriptor,
    match,
)
from .training_free_head import TrainingFreeHead

__all__ = [
    "ATTENTION_MEANING",
    "ATMDecoder",
    "ATMDecoderLayer",
    "ATMHead",
    "AttentionLogits",
    "CrossAttention",
    "HeadOutput",
    "MultiHeadAttention",
    "Prediction",
    "RelationshipDescriptor",
    "TrainingFreeHead",
    "ZeroShotHead",
    "match",
    "upsample",
]
