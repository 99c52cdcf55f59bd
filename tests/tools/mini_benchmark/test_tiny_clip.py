"""The tiny CLIP's batches and losses in pretraining."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from mini_benchmark.tiny_clip.captions import Batch, Composer
from mini_benchmark.tiny_clip.model import TinyClip, normalise, pictures
from mini_benchmark.tiny_clip.variation import varied

CONFIG = {
    "embed_dim": 16,
    "vision_cfg": {
        "image_size": 96, "patch_size": 6, "width": 32, "layers": 1, "head_width": 16,
        "pool_type": "avg",
    },
    "text_cfg": {
        "context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1,
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def composer() -> Composer:
    return Composer(seed=0, batch_size=3, class_share=0.5, splits=["train"], length=16)


@pytest.fixture(scope="module")
def model(composer: Composer) -> TinyClip:
    torch.manual_seed(0)
    model = TinyClip(CONFIG, composer.all_tokens())
    model.to_fast()
    return model


@pytest.mark.parametrize("size", [48, 96])
def test_unused_places_for_names_do_not_change_the_losses(
    composer: Composer, model: TinyClip, size: int
) -> None:
    batch, other = composer.batch(0, size), composer.batch(1, size)
    shapes = [[tensor.shape for tensor in vars(each).values()] for each in (batch, other)]
    assert shapes[0] == shapes[1] and not batch.valid.all()

    def losses(batch: Batch) -> torch.Tensor:
        images = normalise(pictures(batch.images, torch.device("cpu")))
        positions = torch.arange((size // 6) ** 2)
        tokens = model.known(batch.tokens)
        return model.loss(images, tokens, batch.right, batch.valid, positions, patch_weight=0.5)

    used = batch.valid
    cut = Batch(batch.images, batch.tokens[used], batch.right[:, used], batch.valid[used])
    torch.testing.assert_close(losses(batch), losses(cut))


def test_words_looked_up_once_give_the_tokenizers_tokens(composer: Composer) -> None:
    captions = ["a photo of a dining table.", "Tornado, a t-rex and a bus", "a " * 20]
    assert torch.equal(composer.tokens(captions), composer.tokenizer(captions))


def test_texts_are_embedded_as_open_clip_does(composer: Composer, model: TinyClip) -> None:
    tokens = composer.tokens(["a photo of a cat", "dog", "there is a bus in the scene."])
    expected = model.clip.encode_text(model.known(tokens), normalize=True)
    torch.testing.assert_close(model.texts(tokens), expected)


def test_a_drawing_is_varied_by_its_generator_alone(composer: Composer) -> None:
    drawing = composer.groups["bus"][0]
    first, again, other = (varied(drawing, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first.pixels, again.pixels)
    assert first.pixels.shape != other.pixels.shape  # stretched
    assert first == drawing  # but for its pixels
    # No colour comes from transparent pixels: a red disc's outline stays red.
    y, x = np.mgrid[-1:1:40j, -1:1:40j]
    disc = np.zeros((40, 40, 4), np.uint8)
    disc[np.hypot(x, y) < 0.9] = 200, 0, 0, 255
    red = varied(replace(drawing, pixels=disc), np.random.default_rng(0)).pixels
    shown = red[red[..., 3] > 8]
    assert np.ptp(shown[:, :3].astype(int), axis=0).max() <= 3


def test_captions_show_the_drawings_of_the_splits_asked_for() -> None:
    for splits in (["train"], ["selection", "test"]):
        composer = Composer(seed=0, batch_size=3, class_share=0.5, splits=splits, length=16)
        assert {d.split for group in composer.groups.values() for d in group} == set(splits)
