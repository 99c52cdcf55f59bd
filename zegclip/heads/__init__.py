"""Heads: the base of all methods, and ZegCLIP's."""

from .atm_decoder import ATMDecoder, ATMDecoderLayer
from .atm_head import ATMHead
from .base import HeadOutput, HeadPrediction, ZeroShotHead, calibrate, upsample
from .cross_attention import AttentionLogits, CrossAttention
from .relationship_descriptor import RelationshipDescriptor, match

__all__ = [
    "ATMDecoder",
    "ATMDecoderLayer",
    "ATMHead",
    "AttentionLogits",
    "CrossAttention",
    "HeadOutput",
    "HeadPrediction",
    "RelationshipDescriptor",
    "ZeroShotHead",
    "calibrate",
    "match",
    "upsample",
]
