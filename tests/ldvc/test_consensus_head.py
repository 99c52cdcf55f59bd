"""LDVC's head passes the base tester, with its options and with language prompts."""

from __future__ import annotations

from typing import Any, ClassVar

import torch

from ldvc import ConsensusHead
from tests.heads.base import HeadTester, unit
from zegclip.heads import RelationshipDescriptor

SMALL: dict[str, Any] = {
    "num_heads": 2,
    "feedforward_channels": 16,
    "dropout": 0.0,
    "regions_per_side": 2,
    "topk": 2,
}


class TestConsensusHead(HeadTester):
    head: ClassVar[dict[str, Any]] = {"type": "ConsensusHead", "decoder": SMALL}
    text_encoder: ClassVar[dict[str, Any]] = {"type": "PromptedTextEncoder"}

    def test_text_adapter_is_the_cores(self) -> None:
        head = self.build_head()
        assert isinstance(head, ConsensusHead)
        assert type(head.text_adapter) is RelationshipDescriptor
        patches, g, classes = unit(2, 32, 4, 4, dim=1), unit(2, 32), unit(3, 32, seed=1)
        both = torch.cat([classes * g[:, None], classes.expand(2, -1, -1)], dim=-1)
        masks = head.decoder(patches, head.text_adapter.projection(both))
        torch.testing.assert_close(head(patches, g, classes).mask_logits, masks)


class TestWithoutLocalConsensus(HeadTester):
    head: ClassVar[dict[str, Any]] = {
        "type": "ConsensusHead",
        "decoder": {**SMALL, "local_consensus": False},
    }


class TestEverythingElse(HeadTester):
    """Cosine masks, another order, differentiable routes, local enhancement, two layers."""

    head: ClassVar[dict[str, Any]] = {
        "type": "ConsensusHead",
        "decoder": {
            **SMALL,
            "masks": "cosine",
            "order": ("cross_attention", "local_consensus", "feed_forward"),
            "routing": "differentiable",
            "local_kernel": 3,
            "num_layers": 2,
        },
    }
    text_encoder: ClassVar[dict[str, Any]] = {
        "type": "PromptedTextEncoder",
        "checkpoint_activations": True,
    }


def test_attention_is_shared_among_the_classes() -> None:
    head = TestConsensusHead().build_head()
    output = head(unit(1, 32, 4, 4, dim=1), unit(1, 32), unit(3, 32, seed=1))
    maps = head.attention(output)
    torch.testing.assert_close(maps.sum(dim=1), torch.ones(1, 4, 4))
    assert "softmax over classes" in head.attention_meaning
    cosine = TestConsensusHead().build_head(decoder={**SMALL, "masks": "cosine"})
    assert "cosine" in cosine.attention_meaning
