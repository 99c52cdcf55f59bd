"""The counter against operations counted by hand, on the mini configs' models."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS, MODELS
from model_cost import gigaflops, learnable_as_published, learnable_parameters

from zegclip.files import PROJECT_ROOT
from zegclip.vocabulary import Vocabulary


def build(method: str) -> tuple[Any, Vocabulary]:
    init_default_scope("mmseg")
    config = Config.fromfile(PROJECT_ROOT / "configs" / f"{method}_mini_inductive.py")
    config.model.clip.weights = "random"
    dataset = config.test_dataloader.dataset
    vocabulary = DATASETS.get(dataset.type).vocabulary_of(dataset)
    return MODELS.build(config.model), vocabulary


def transformer(visual: Any, width: int, tokens: int) -> int:
    """Multiply-adds of a tower's blocks: four projections, two products, the network of 4x."""
    blocks = len(visual.transformer.resblocks)
    hidden = visual.transformer.resblocks[0].mlp.c_fc.out_features
    return blocks * (4 * tokens * width**2 + 2 * tokens**2 * width + 2 * tokens * width * hidden)


def test_the_image_encoder_is_what_the_formula_says() -> None:
    model, vocabulary = build("zegclip")
    encoder, size = model.image_encoder, (96, 72)
    width, joint = encoder.visual.proj.shape
    depth, prompts = len(encoder.visual.transformer.resblocks), encoder.num_prompts
    patches = (size[0] // encoder.patch_size) * (size[1] // encoder.patch_size)
    expected = (
        patches * width * 3 * encoder.patch_size**2
        + transformer(encoder.visual, width, 1 + prompts + patches)
        + depth * prompts * width**2  # the prompts' projection
        + (1 + patches) * width * joint
    )
    flops = gigaflops(model, size, vocabulary)
    assert flops["image_encoder"] * 1e9 == pytest.approx(expected, abs=0.5)
    assert flops["total"] == flops["image_encoder"] + flops["decode_head"]


def test_the_head_is_what_the_formula_says() -> None:
    model, vocabulary = build("zegclip")
    size, joint = (96, 72), model.image_encoder.embed_dims
    patches = (size[0] // model.image_encoder.patch_size) * (
        size[1] // model.image_encoder.patch_size
    )
    classes = len(vocabulary.classes)
    hidden = model.decode_head.decoder.layers[0].feedforward_in.out_features
    whole = (
        2 * classes * joint**2  # queries, output
        + 2 * patches * joint**2  # keys, values
        + 2 * classes * patches * joint
        + 2 * classes * joint * hidden
    )
    last = (classes + patches) * joint**2 + classes * patches * joint
    layers = len(model.decode_head.decoder.layers)
    expected = 2 * classes * joint**2 + (layers - 1) * whole + last
    counted = gigaflops(model, size, vocabulary)["decode_head"]
    assert counted * 1e9 == pytest.approx(expected, abs=0.5)


@pytest.mark.parametrize("method", ["zegclip", "ldvc"])
def test_the_vocabulary_is_counted_as_if_it_were_computed(method: str) -> None:
    model, vocabulary = build(method)
    tower = model.text_encoder.tower
    width = tower.token_embedding.embedding_dim
    texts, length = model.text_encoder._tokens_of(
        tuple(word for words in vocabulary.words for word in words)
    ).shape
    expected = texts * (transformer(tower, width, length) + width * tower.text_projection.shape[1])
    counted = gigaflops(model, (96, 96), vocabulary)["text_encoder"]
    assert counted * 1e9 == pytest.approx(expected, abs=0.5)


def test_counting_leaves_model_and_torch_as_they_were() -> None:
    model, vocabulary = build("ldvc")
    model.train()
    fast = torch.backends.mha.get_fastpath_enabled()
    gigaflops(model, (96, 96), vocabulary)
    assert model.training and torch.backends.mha.get_fastpath_enabled() == fast
    model.set_vocabulary(vocabulary)
    embeddings = model.class_embeddings()
    assert type(embeddings) is torch.Tensor and embeddings.norm(dim=1).allclose(torch.ones(20))


@pytest.mark.parametrize(
    ("method", "unused"),
    [
        # 4 D^2 + 4 D of a self-attention and 2 D of a norm, in three layers; two norms; no code.
        ("zegclip", lambda width: 3 * (4 * width**2 + 4 * width + 2 * width)),
        ("tagclip", lambda width: 2 * 2 * width),
        ("ldvc", None),
    ],
)
def test_the_published_count_has_what_nothing_calls(method: str, unused: Any) -> None:
    model, _ = build(method)
    counts = learnable_parameters(model)
    learned = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert counts["total"] == learned
    published = learnable_as_published(model)
    if unused is None:
        assert published is None
    else:
        assert published == learned + unused(model.decode_head.embed_dims)


def test_what_of_the_last_decoder_layer_gets_no_gradient() -> None:
    """The number in docs/results_zegclip.md, in the size of the papers: D = 512, 2048 hidden."""
    head = MODELS.build({"type": "ATMHead", "embed_dims": 512})
    patches, cls = torch.randn(1, 512, 2, 2), torch.randn(1, 512)
    head(patches, cls, torch.randn(3, 512)).mask_logits.sum().backward()
    idle = {name: p.numel() for name, p in head.named_parameters() if p.grad is None}
    assert round(sum(idle.values()) / 1e6, 2) == 2.63
    assert all(name.startswith("decoder.layers.2.") for name in idle)
