"""The local-consensus decoder: which way it moves, what its masks are, what its options do."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ldvc import ConsensusDecoder, RouteAttention
from tests.heads.base import unit
from zegclip.errors import InputError


def build(**changes: Any) -> ConsensusDecoder:
    torch.manual_seed(0)
    settings = {
        "num_layers": 3, "num_heads": 4, "feedforward_channels": 24, "dropout": 0.1,
        "regions_per_side": 2, "topk": 2,
    }  # fmt: skip
    decoder = ConsensusDecoder(16, **{**settings, **changes}).double().eval()
    for parameter in decoder.parameters():
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=0.3)
    return decoder


def inputs(num_classes: int = 3) -> tuple[Tensor, Tensor]:
    """V ``(2, 16, 4, 6)`` and T_new ``(2, C, 16)``."""
    return unit(2, 16, 4, 6, dim=1).double(), unit(2, num_classes, 16, seed=1).double()


def plain_attention(query: Tensor, key: Tensor, value: Tensor, num_heads: int) -> Tensor:
    heads = []
    for q, k, v in zip(*(x.chunk(num_heads, dim=-1) for x in (query, key, value)), strict=True):
        weights = (q @ k.transpose(1, 2) / math.sqrt(q.shape[-1])).softmax(dim=-1)
        heads.append(weights @ v)
    return torch.cat(heads, dim=-1)


def test_layers_follow_the_definition() -> None:
    decoder = build()
    patches, classes = inputs()
    tokens = patches.flatten(2).transpose(1, 2)
    for layer in decoder.layers[:2]:
        tokens = layer.norms["local_consensus"](tokens + layer.local_consensus(tokens, (4, 6)))
        cross = layer.cross_attention
        attended = plain_attention(cross.query(tokens), cross.key(classes), cross.value(classes), 4)
        tokens = layer.norms["cross_attention"](tokens + cross.output(attended))
        first, _, _, second = layer.feed_forward
        tokens = layer.norms["feed_forward"](tokens + second(F.relu(first(tokens))))
    last = decoder.layers[2]
    tokens = last.norms["local_consensus"](tokens + last.local_consensus(tokens, (4, 6)))
    query, key = decoder.mask_attention.query(tokens), decoder.mask_attention.key(classes)
    per_head = [
        q @ k.transpose(1, 2) / math.sqrt(4)
        for q, k in zip(query.chunk(4, dim=-1), key.chunk(4, dim=-1), strict=True)
    ]
    masks = torch.stack(per_head).mean(dim=0).transpose(1, 2).unflatten(2, (4, 6))
    torch.testing.assert_close(decoder(patches, classes), masks)


def test_cosine_masks() -> None:
    decoder = build(masks="cosine", temperature=0.5)
    seen: list[Tensor] = []
    decoder.layers[-1].register_forward_hook(lambda *call: seen.append(call[-1]))
    patches, classes = inputs()
    masks = decoder(patches, classes)
    cosine = F.cosine_similarity(seen[0][:, None], classes[:, :, None], dim=-1)
    torch.testing.assert_close(masks.flatten(2), cosine / 0.5)
    assert decoder.layers[-1].steps == ("local_consensus", "cross_attention", "feed_forward")


FIRST = ("local_consensus", "cross_attention", "feed_forward")
LAST = ("cross_attention", "feed_forward", "local_consensus")


@pytest.mark.parametrize(
    ("masks", "num_layers", "order"),
    [
        ("attention", 1, FIRST),
        ("attention", 3, FIRST),
        ("attention", 2, LAST),
        ("cosine", 1, LAST),
        ("cosine", 2, FIRST),
    ],
)
def test_no_parameter_is_dead(masks: str, num_layers: int, order: tuple[str, ...]) -> None:
    decoder = build(masks=masks, num_layers=num_layers, order=order, local_kernel=3)
    patches, classes = inputs()
    (decoder(patches, classes) * torch.randn(2, 3, 4, 6)).sum().backward()
    for name, parameter in decoder.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        # A key's bias has no effect on a softmax.
        assert parameter.grad.abs().max() > 1e-9 or name.endswith("key.bias"), name


def test_local_consensus_can_be_left_out() -> None:
    decoder = build(local_consensus=False)
    assert not any(isinstance(module, RouteAttention) for module in decoder.modules())
    assert decoder.layers[0].steps == ("cross_attention", "feed_forward")
    patches, classes = inputs()
    changed = patches.clone()
    changed[:, :, 0, 0] = unit(2, 16, seed=7).double()
    # Without it a patch is decoded by itself; with it its neighbours see it.
    difference = (decoder(changed, classes) - decoder(patches, classes)).abs().amax(dim=(0, 1))
    assert difference[0, 0] > 1e-3 and difference.flatten()[1:].max() < 1e-12
    decoder = build(topk=4)
    difference = (decoder(changed, classes) - decoder(patches, classes)).abs().amax(dim=(0, 1))
    assert (difference > 1e-6).all()


def test_order_is_the_layers() -> None:
    patches, classes = inputs()
    order = ("cross_attention", "local_consensus", "feed_forward")
    one, other = build(masks="cosine"), build(masks="cosine", order=order)
    other.load_state_dict(one.state_dict())
    assert not torch.allclose(one(patches, classes), other(patches, classes), atol=1e-3)
    assert other.layers[0].steps == order


def test_class_embeddings_are_anchors() -> None:
    """A class's mask depends on the others through the patches only, and not at all at depth 1."""
    patches, classes = inputs(4)
    for num_layers, apart in ((1, True), (3, False)):
        decoder = build(num_layers=num_layers)
        whole, alone = decoder(patches, classes)[:, :2], decoder(patches, classes[:, :2])
        assert torch.allclose(whole, alone, atol=1e-9) is apart


def test_dropout_is_on_in_training_only() -> None:
    decoder, (patches, classes) = build(dropout=0.5), inputs()
    assert decoder(patches, classes).equal(decoder(patches, classes))
    decoder.train()
    assert not decoder(patches, classes).equal(decoder(patches, classes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_layers": 0}, "num_layers=0 must be at least 1"),
        ({"order": ("cross_attention", "feed_forward")}, "order=.* must hold each of"),
        ({"order": "local_consensus"}, "order='local_consensus' must hold each of"),
        ({"masks": "dot"}, "masks='dot' is not one of attention, cosine"),
        ({"topk": 5}, "topk=5 must be from 1 to .* = 4"),
        ({"num_layers": 1, "order": LAST}, "masks are made before any local_consensus"),
        ({"num_heads": 3}, "num_heads=3 does not divide embed_dims=16"),
    ],
)
def test_settings_that_cannot_be(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(**changes)


class TestWhatItShows:
    def test_switched_off_it_is_the_model_without_it(self) -> None:
        decoder, bare = build(), build(local_consensus=False)
        shared = {k: v for k, v in decoder.state_dict().items() if "local_consensus" not in k}
        bare.load_state_dict(shared)
        before = decoder(*inputs())
        with decoder.without_local_consensus():
            torch.testing.assert_close(decoder(*inputs()), bare(*inputs()))
        torch.testing.assert_close(decoder(*inputs()), before)
        assert not before.allclose(bare(*inputs()))

    def test_it_comes_back_after_an_error(self) -> None:
        decoder = build()
        with pytest.raises(RuntimeError), decoder.without_local_consensus():
            raise RuntimeError
        assert all("local_consensus" in layer.steps for layer in decoder.layers)

    def test_without_it_there_is_nothing_to_show(self) -> None:
        bare = build(local_consensus=False)
        assert not bare.has_local_consensus and build().has_local_consensus
        with (
            pytest.raises(InputError, match="local_consensus=False"),
            bare.without_local_consensus(),
        ):
            pass
