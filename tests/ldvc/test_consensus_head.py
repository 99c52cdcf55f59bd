"""LDVC's head passes the base tester; its decoder does what the options say."""

from __future__ import annotations

from typing import Any, ClassVar

from tests.heads.base import HeadTester

SMALL: dict[str, Any] = {
    "type": "ConsensusHead",
    "num_heads": 2,
    "feedforward_channels": 16,
    "dropout": 0.0,
    "num_regions": 2,
    "topk": 2,
}


class TestConsensusHead(HeadTester):
    head: ClassVar[dict[str, Any]] = SMALL
    text_encoder: ClassVar[dict[str, Any]] = {"type": "PromptedTextEncoder"}


class TestWithoutLocalConsensus(HeadTester):
    head: ClassVar[dict[str, Any]] = {**SMALL, "local_consensus": False}


class TestEverythingElse(HeadTester):
    """Cosine masks, another order, learned routes, local enhancement, learning text encoder."""

    head: ClassVar[dict[str, Any]] = {
        **SMALL,
        "masks": "cosine",
        "order": ("cross_attention", "local_consensus", "feed_forward"),
        "routing": "differentiable",
        "local_kernel": 3,
        "num_layers": 2,
    }
    text_encoder: ClassVar[dict[str, Any]] = {"type": "PromptedTextEncoder"}
