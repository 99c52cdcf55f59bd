"""Language prompts: plain CLIP at step 0, gradients through the frozen tower, one run per step."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor

from ldvc import PromptedTextEncoder
from zegclip.clip import LoadedClip, TextEncoder, load_clip
from zegclip.errors import InputError
from zegclip.segmentors import ZeroShotSegmentor
from zegclip.vocabulary import Vocabulary

VOCABULARY = Vocabulary(
    classes=("cat", "potted plant", "tv", "long name of a thing"),
    unseen=("tv",),
    synonyms={"tv": ("tv", "monitor")},
)


@pytest.fixture(scope="module")
def clip(tiny_clip_config: Path) -> LoadedClip:
    return load_clip(str(tiny_clip_config), "random:0")


def moved(encoder: PromptedTextEncoder) -> PromptedTextEncoder:
    """The encoder with its prompts somewhere else than at the start."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        prompts = encoder.language_prompts
        prompts.add_(0.3 * torch.randn(prompts.shape, generator=generator))
    return encoder


@pytest.mark.parametrize(("num_prompts", "prompt_depth"), [(4, None), (2, None), (4, 1)])
@pytest.mark.parametrize("templates", ["single", ["a drawing of the {}, on paper."]])
def test_step_0_is_plain_clip(
    clip: LoadedClip, num_prompts: int, prompt_depth: int | None, templates: Any, tmp_path: Path
) -> None:
    plain = TextEncoder(clip, templates, cache_dir=tmp_path)(VOCABULARY)
    encoder = PromptedTextEncoder(clip, templates, num_prompts, prompt_depth)
    torch.testing.assert_close(encoder(VOCABULARY), plain, atol=1e-5, rtol=0)
    width = clip.model.positional_embedding.shape[1]
    assert encoder.language_prompts.shape == (prompt_depth or 2, num_prompts, width)
    # The prompts are what is used: elsewhere, every class has another embedding.
    change = (moved(encoder)(VOCABULARY) - plain).norm(dim=-1)
    assert (change > 1e-3).all()


def test_clip_s_own_embeddings_are_those_of_step_0(clip: LoadedClip) -> None:
    encoder = PromptedTextEncoder(clip, num_prompts=3)
    words = [["cat"], ["bus", "tram car"]]
    before = encoder.embed(words).detach()
    with torch.no_grad():
        encoder.language_prompts.normal_()
    assert not torch.allclose(encoder.embed(words), before, atol=0.01)
    torch.testing.assert_close(encoder.embed_by_clip(words), before, atol=1e-5, rtol=0)


def by_definition(encoder: PromptedTextEncoder, clip: LoadedClip) -> Tensor:
    """T of the vocabulary: each text's tokens, all of them, through CLIP's own blocks.

    Before each prompted block the prompts are put in at the places 1 to m. Past the prompted
    blocks, what these make of the prompts goes on.
    """
    model, m = clip.model, encoder.num_prompts
    classes = []
    for synonyms in VOCABULARY.words:
        texts = []
        for word in synonyms:
            tokens = clip.tokenizer([f"a photo of a {word}"])[0]
            before_name, name = tokens[:5], tokens[5 : int(tokens.argmax()) + 1]
            tokens = torch.cat([before_name, before_name[-1:].expand(max(0, m - 4)), name])
            length = len(tokens)
            hidden = model.token_embedding(tokens[None]) + model.positional_embedding[:length]
            for index, block in enumerate(model.transformer.resblocks):
                if index < encoder.prompt_depth:
                    prompts = encoder.language_prompts[index : index + 1]
                    hidden = torch.cat([hidden[:, :1], prompts, hidden[:, 1 + m :]], dim=1)
                hidden = block(hidden, attn_mask=model.attn_mask[:length, :length])
            end = model.ln_final(hidden[0, -1]) @ model.text_projection
            texts.append(F.normalize(end, dim=-1))
        classes.append(F.normalize(torch.stack(texts).mean(dim=0), dim=-1))
    return torch.stack(classes)


@pytest.mark.parametrize(
    ("num_prompts", "prompt_depth", "prompt_init"),
    [
        (4, None, "template"),
        (2, None, "template"),
        (4, 1, "template"),
        (6, None, "random"),
        (6, 1, "random"),
    ],
)
def test_prompts_anywhere_are_their_definition(
    clip: LoadedClip, num_prompts: int, prompt_depth: int | None, prompt_init: str
) -> None:
    torch.manual_seed(0)
    encoder = moved(PromptedTextEncoder(clip, "single", num_prompts, prompt_depth, prompt_init))
    found, expected = encoder(VOCABULARY), by_definition(encoder, clip)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(
        gradient(encoder, found), gradient(encoder, expected), atol=1e-5, rtol=1e-4
    )


def test_more_random_prompts_than_words_stand_between_template_and_name(clip: LoadedClip) -> None:
    encoder = PromptedTextEncoder(clip, num_prompts=6, prompt_init="random")
    assert 0.01 < encoder.language_prompts.std() < 0.04
    torch.testing.assert_close(encoder(VOCABULARY).norm(dim=-1), torch.ones(4))
    plain = clip.tokenizer(["a photo of a potted plant"])[0]
    longer = encoder.tokenize(["potted plant"])[0]
    name_and_end = plain[5 : int((plain != 0).sum())]
    assert longer[7 : 7 + len(name_and_end)].equal(name_and_end)
    # They take two of the 77 tokens. "a photo of a", start and end token: 6; "cat" is one more.
    fits, long = " ".join(["cat"] * 69), " ".join(["cat"] * 70)
    assert encoder.too_long([fits, long]) == [long]
    with pytest.warns(UserWarning, match="cat cat.*75 tokens"):
        cut, whole = encoder.embed([(long,), (fits,)])
    torch.testing.assert_close(cut, whole)


def test_words_before_the_name_must_be_words(clip: LoadedClip) -> None:
    with pytest.raises(InputError, match="'non-{}' no space parts them"):
        PromptedTextEncoder(clip, ["non-{}"], num_prompts=1)


def test_another_tokenizer_is_refused(clip: LoadedClip) -> None:
    """Where padding is not 0, the prompts would take the place of padding and names alike."""
    other = dataclasses.replace(clip, tokenizer=lambda texts, **_: torch.ones(len(texts), 77))
    with pytest.raises(InputError, match="need CLIP's own tokenizer.*num_prompts=0"):
        PromptedTextEncoder(other, num_prompts=1)


def test_without_prompts_it_is_the_frozen_encoder(clip: LoadedClip, tmp_path: Path) -> None:
    encoder = PromptedTextEncoder(clip, "multi15", num_prompts=0, cache_dir=tmp_path)
    assert not encoder.learns and not any(p.requires_grad for p in encoder.parameters())
    expected = TextEncoder(clip, "multi15", cache_dir=tmp_path / "other")(VOCABULARY)
    assert encoder(VOCABULARY).equal(expected)
    assert list(tmp_path.glob("*.safetensors"))


def gradient(encoder: PromptedTextEncoder, rows: Tensor | None = None) -> Tensor:
    rows = encoder(VOCABULARY) if rows is None else rows
    weights = torch.linspace(-1, 1, rows.numel()).view_as(rows)
    (gradient,) = torch.autograd.grad((rows * weights).sum(), encoder.language_prompts)
    return gradient


def test_only_the_prompts_learn_of_every_layer(clip: LoadedClip) -> None:
    encoder = PromptedTextEncoder(clip)
    learned = [name for name, p in encoder.named_parameters() if p.requires_grad]
    assert learned == ["language_prompts"]
    assert (gradient(encoder).flatten(1).norm(dim=1) > 0).all()


@pytest.mark.parametrize("changes", [{"texts_at_once": 2}, {"checkpoint_activations": True}])
def test_parts_and_recomputation_change_nothing(clip: LoadedClip, changes: dict[str, Any]) -> None:
    plain, other = moved(PromptedTextEncoder(clip)), moved(PromptedTextEncoder(clip, **changes))
    torch.testing.assert_close(other(VOCABULARY), plain(VOCABULARY), atol=1e-6, rtol=0)
    torch.testing.assert_close(gradient(other), gradient(plain), atol=1e-6, rtol=1e-4)


# --- in the segmentor --------------------------------------------------------------------------


@pytest.fixture
def model(tiny_clip_config: Path) -> ZeroShotSegmentor:
    torch.manual_seed(0)
    model = MODELS.build(
        {
            "type": "ZeroShotSegmentor",
            "clip": {"model_name": str(tiny_clip_config), "weights": "random:0"},
            "image_encoder": {"type": "PromptedImageEncoder", "num_prompts": 2},
            "text_encoder": {"type": "PromptedTextEncoder"},
            "decode_head": {
                "type": "ConsensusHead",
                "decoder": {"num_heads": 2, "regions_per_side": 2, "topk": 2},
            },
        }
    )
    model.init_weights()
    model.set_vocabulary(VOCABULARY)
    return model


@pytest.fixture
def embedded(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The words of every run of the text tower."""
    calls: list[Any] = []
    embed = PromptedTextEncoder.embed
    monkeypatch.setattr(
        PromptedTextEncoder, "embed", lambda self, words: calls.append(words) or embed(self, words)
    )
    return calls


def step(model: ZeroShotSegmentor, fused: bool = False) -> None:
    """One step of training."""
    learnable = [p for p in model.train().parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(learnable, lr=1e-2, fused=fused)
    labels = torch.zeros(3, 1, 32, 32, dtype=torch.long)
    labels[..., 16:] = 1
    samples = [SegDataSample(gt_sem_seg=PixelData(data=each)) for each in labels]
    losses = model.loss(torch.randn(3, 3, 32, 32), samples)
    torch.stack(list(losses.values())).sum().backward()
    optimizer.step()


def test_training_runs_the_tower_once_per_step_with_seen_names(
    model: ZeroShotSegmentor, embedded: list[Any]
) -> None:
    before = model.text_encoder.language_prompts.detach().clone()
    step(model)
    step(model)
    assert embedded == [(("cat",), ("potted plant",), ("long name of a thing",))] * 2
    assert not torch.equal(model.text_encoder.language_prompts, before)


def test_prediction_runs_the_tower_once_per_vocabulary(
    model: ZeroShotSegmentor, embedded: list[Any]
) -> None:
    other = Vocabulary(classes=("grass", "sky"))
    model.eval()
    for vocabulary in (VOCABULARY, VOCABULARY, other, VOCABULARY, other):
        model.set_vocabulary(vocabulary)
        with torch.inference_mode():
            model.predict(torch.randn(1, 3, 32, 32))
    assert embedded == [VOCABULARY.words, other.words]


KEY = "text_encoder.language_prompts"


def load_other_prompts(model: ZeroShotSegmentor, **how: bool) -> None:
    state = model.state_dict()
    model.load_state_dict({**state, KEY: state[KEY] + 0.3 * torch.randn(state[KEY].shape)}, **how)


CHANGES: dict[str, Callable[[ZeroShotSegmentor], Any]] = {
    "optimizer": step,
    "fused optimizer": lambda model: step(model, fused=True),
    "checkpoint": load_other_prompts,
    "assigned checkpoint": lambda model: load_other_prompts(model, assign=True),
    # (mmengine's hook puts the averages in before the model is set to evaluation.)
    "EMA": lambda model: model.train().text_encoder.language_prompts.data.mul_(3),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("inference_mode", [False, True])
def test_test_embeddings_follow_the_prompts(
    model: ZeroShotSegmentor, change: str, inference_mode: bool
) -> None:
    with torch.inference_mode(inference_mode):
        before = model.eval().class_embeddings().clone()
    CHANGES[change](model)
    with torch.inference_mode(inference_mode):
        after = model.eval().class_embeddings()
    torch.testing.assert_close(after, model.text_encoder(VOCABULARY))
    assert not torch.allclose(before, after, atol=1e-4)


def test_checkpoint_and_report_hold_the_prompts_alone(model: ZeroShotSegmentor) -> None:
    assert [key for key in model.state_dict() if key.startswith("text_encoder")] == [KEY]
    protocol = model.protocol()
    assert protocol["language_prompts"] == 4 and protocol["templates"] == ["a photo of a {}"]


# --- messages ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"templates": "multi15"}, "one template's words.*has 15.*'single'"),
        ({"num_prompts": 5}, "num_prompts=5.*'a photo of a ' has only 4.*prompt_init='random'"),
        ({"prompt_depth": 3}, "prompt_depth=3 must be between 1 and the text tower's 2 blocks"),
        ({"prompt_init": "zeros"}, "'zeros' is not one of template, random"),
    ],
)
def test_settings_that_do_not_fit(clip: LoadedClip, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        PromptedTextEncoder(clip, **changes)
