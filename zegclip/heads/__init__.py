"""Heads: the base of all methods, and ZegCLIP's."""

from .atm_decoder import ATTENTION_MEANING, ATMDecoder, ATMDecoderLayer
from .atm_head import ATMHead
from .base import HeadOutput, Prediction, ZeroShotHead, upsample
from .layers import AttentionLogits, CrossAttention, RelationshipDescriptor, match

__all__ = [
    "ATTENTION_MEANING",
    "ATMDecoder",
    "ATMDecoderLayer",
    "ATMHead",
    "AttentionLogits",
    "CrossAttention",
    "HeadOutput",
    "Prediction",
    "RelationshipDescriptor",
    "ZeroShotHead",
    "match",
    "upsample",
]
