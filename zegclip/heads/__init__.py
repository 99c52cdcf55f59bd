"""Heads: the base of all methods, and ZegCLIP's."""

from .atm_decoder import ATTENTION_MEANING, ATMDecoder, ATMDecoderLayer
from .atm_head import ATMHead
from .base import HeadOutput, HeadPrediction, ZeroShotHead, calibrate, upsample
from .cross_attention import AttentionLogits, CrossAttention
from .relationship_descriptor import RelationshipDescriptor, match
from .shown import CONSENSUS, TRUST, RegionRoutes

__all__ = [
    "ATTENTION_MEANING",
    "CONSENSUS",
    "TRUST",
    "ATMDecoder",
    "ATMDecoderLayer",
    "ATMHead",
    "AttentionLogits",
    "CrossAttention",
    "HeadOutput",
    "HeadPrediction",
    "RegionRoutes",
    "RelationshipDescriptor",
    "ZeroShotHead",
    "calibrate",
    "match",
    "upsample",
]
