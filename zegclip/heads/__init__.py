"""Heads: the base of all methods, and ZegCLIP's."""

from .atm_decoder import ATMDecoder, ATMDecoderLayer, CrossAttention
from .atm_head import ATMHead
from .base import HeadOutput, HeadPrediction, ZeroShotHead, calibrate, upsample
from .relationship_descriptor import RelationshipDescriptor, match

__all__ = [
    "ATMDecoder",
    "ATMDecoderLayer",
    "ATMHead",
    "CrossAttention",
    "HeadOutput",
    "HeadPrediction",
    "RelationshipDescriptor",
    "ZeroShotHead",
    "calibrate",
    "match",
    "upsample",
]
