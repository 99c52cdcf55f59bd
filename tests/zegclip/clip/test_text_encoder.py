"""Class embeddings: templates, synonyms, order, cache."""

from __future__ import annotations

import copy
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor

from zegclip.clip import TEMPLATES, LoadedClip, TextEncoder, TextTower, find_templates, load_clip
from zegclip.errors import InputError
from zegclip.vocabulary import Vocabulary

VOCABULARY = Vocabulary(classes=("cat", "bus"))


@pytest.fixture(scope="module")
def clip(tiny_clip_config: Path) -> LoadedClip:
    return load_clip(str(tiny_clip_config), "random:0")


def embed(clip: LoadedClip, *texts: str) -> Tensor:
    with torch.no_grad():
        return clip.model.encode_text(clip.tokenizer(list(texts)), normalize=True)


@pytest.mark.parametrize("texts_at_once", [256, 4])
def test_templates_and_synonyms_are_averaged_as_unit_vectors(
    texts_at_once: int, clip: LoadedClip, tmp_path: Path
) -> None:
    single = TextEncoder(clip, cache_dir=tmp_path)(VOCABULARY)
    expected = embed(clip, "a photo of a cat", "a photo of a bus")
    torch.testing.assert_close(single, expected, atol=1e-6, rtol=0)
    encoder = TextEncoder(clip, ["a {}.", "one {}"], tmp_path, texts_at_once)
    rows = encoder(Vocabulary(classes=("cat", "bus"), synonyms={"cat": ("cat", "kitten")}))
    words = [
        F.normalize(embed(clip, f"a {word}.", f"one {word}").mean(0), dim=0)
        for word in ("cat", "kitten", "bus")
    ]
    expected = torch.stack([F.normalize((words[0] + words[1]) / 2, dim=0), words[2]])
    torch.testing.assert_close(rows, expected, atol=1e-6, rtol=0)
    turned = encoder(Vocabulary(classes=("bus", "cat"), synonyms={"cat": ("cat", "kitten")}))
    torch.testing.assert_close(turned, rows.flip(0))


def test_second_time_comes_from_the_cache(
    clip: LoadedClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZEGCLIP_CACHE", str(tmp_path / "made"))
    first = TextEncoder(clip)(VOCABULARY)
    with monkeypatch.context() as patch:
        patch.setattr(TextEncoder, "embed", lambda *_: pytest.fail("computed again"))
        assert torch.equal(TextEncoder(clip)(VOCABULARY), first)
    (file,) = (tmp_path / "made").iterdir()  # a folder cannot be made there, which is no error
    with pytest.warns(UserWarning, match="not cached"):
        assert torch.equal(TextEncoder(clip, cache_dir=file)(VOCABULARY), first)
    file.write_bytes(file.read_bytes()[:1])  # a disk was full
    assert torch.equal(TextEncoder(clip, cache_dir=file.parent)(VOCABULARY), first)
    assert torch.equal(load_file(file)["embeddings"], first)


def test_other_braces_of_a_template_are_text(clip: LoadedClip, tmp_path: Path) -> None:
    rows = TextEncoder(clip, ["a {} {x}"], tmp_path)(VOCABULARY)
    torch.testing.assert_close(rows, embed(clip, "a cat {x}", "a bus {x}"))


@pytest.mark.parametrize("change", ["weights", "templates", "words", "heads", "no_causal_mask"])
def test_cache_follows_what_embeddings_depend_on(
    change: str, clip: LoadedClip, tmp_path: Path, tiny_clip_config: Path
) -> None:
    first = TextEncoder(clip, cache_dir=tmp_path)(VOCABULARY)
    if change == "weights":
        clip = load_clip(str(tiny_clip_config), "random:1")
    if change in ("heads", "no_causal_mask"):  # which no weight shows
        config = json.loads(tiny_clip_config.read_text())
        config["text_cfg"][change] = 2 * config["text_cfg"]["heads"] if change == "heads" else True
        (tmp_path / "other.json").write_text(json.dumps(config))
        clip = load_clip(str(tmp_path / "other.json"), clip.weights)
    templates = "multi15" if change == "templates" else "single"
    synonyms = {"bus": ("coach",)} if change == "words" else {}
    vocabulary = dataclasses.replace(VOCABULARY, synonyms=synonyms)
    assert not torch.allclose(TextEncoder(clip, templates, tmp_path)(vocabulary), first)


class Negated(TextEncoder):
    """An encoder of one's own, on the same weights and words."""

    sign = -1

    def encode(self, tokens: Tensor) -> Tensor:
        return self.sign * super().encode(tokens)

    def protocol(self) -> dict[str, Any]:
        return {**super().protocol(), "sign": self.sign}


def test_encoders_do_not_read_each_other_s_cache(clip: LoadedClip, tmp_path: Path) -> None:
    own = Negated(clip, cache_dir=tmp_path)
    for _ in range(2):  # made, and read
        usual = TextEncoder(clip, cache_dir=tmp_path)(VOCABULARY)
        assert torch.equal(own(VOCABULARY), -usual)
    own.sign = 1
    assert torch.equal(own(VOCABULARY), usual)


def test_a_word_is_embedded_once(
    clip: LoadedClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder, texts = TextEncoder(clip, ["a {}", "the {}"], tmp_path), []
    encode = encoder.encode
    monkeypatch.setattr(encoder, "encode", lambda each: texts.append(len(each)) or encode(each))
    synonyms = {"cat": ("cat", "kitten")}
    vocabularies = [
        Vocabulary(("cat", "bus", "sky"), synonyms=synonyms),
        Vocabulary(("sky", "dog", "cat")),
        Vocabulary(("kitten", "dog")),
    ]
    found = [encoder(each) for each in vocabularies]
    assert texts == [2 * 4, 2 * 1]
    for vocabulary, rows in zip(vocabularies, found, strict=True):
        torch.testing.assert_close(rows, encoder.embed(vocabulary.words))


def test_too_long_a_name_is_named(clip: LoadedClip, tmp_path: Path) -> None:
    # "a photo of a", start and end token: 6 of the 77 tokens.
    encoder = TextEncoder(clip, cache_dir=tmp_path)
    fits, long = " ".join(["very"] * 71), " ".join(["very"] * 72)
    assert encoder.too_long([fits, long]) == [long]
    for _ in range(2):  # the second time its embedding comes from the disk
        with pytest.warns(UserWarning, match="very very.*77 tokens") as warned:
            encoder(Vocabulary(classes=(long,)))
        assert len(warned) == 1
    assert len(list(tmp_path.iterdir())) == 1


def test_a_word_far_too_long_takes_no_time(
    clip: LoadedClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tokens are made of what may fit only: that word has CLIP's longest ones, of 32 bytes."""
    encoder = TextEncoder(clip, cache_dir=tmp_path)
    fits = "\N{FACE WITH TEARS OF JOY}" * (8 * 71 - 1)
    assert encoder.too_long([fits, fits + fits[:9]]) == [fits + fits[:9]]
    monkeypatch.setattr(encoder, "tokenizer", lambda *_, **__: pytest.fail("made tokens"))
    assert encoder.too_long(["cat", "a" * 2500, "a" * 10**6]) == ["a" * 2500, "a" * 10**6]


def test_nothing_is_cached_where_it_must_not_grow(clip: LoadedClip, tmp_path: Path) -> None:
    encoder = TextEncoder(clip, cache_dir=tmp_path)
    first, (file,) = encoder(VOCABULARY), tmp_path.iterdir()
    encoder.writes_cache = False
    encoder(Vocabulary(classes=("dog",)))
    assert [*tmp_path.iterdir()] == [file]
    save_file({"embeddings": 2 * first}, file)
    assert torch.equal(encoder(VOCABULARY), 2 * first)  # what is there is read
    file.unlink()
    encoder.writes_cache = True
    copy.deepcopy(encoder).bfloat16()(VOCABULARY)  # rounded: not for others
    assert not [*tmp_path.iterdir()]


def test_templates() -> None:
    sets = {name: find_templates(name) for name in (*TEMPLATES, "imagenet80")}
    sizes = {name: len(set(templates)) for name, templates in sets.items()}
    assert sizes == {"single": 1, "multi15": 15, "imagenet80": 80}
    for templates in sets.values():
        assert find_templates(list(templates)) == templates
    for bad, message in (
        ("vild", "'vild' is not one of single, multi15, imagenet80"),
        ([], "templates=..:"),
        (["a photo"], "'a photo'.: each must hold"),
        (["{} and {}"], "exactly once"),
    ):
        with pytest.raises(InputError, match=message):
            find_templates(bad)


def test_padding_is_left_out_where_it_changes_nothing(clip: LoadedClip) -> None:
    tower = TextTower(clip.model)
    tokens = clip.tokenizer(["a cat", "a photo of a bus"])
    short = tower.without_padding(tokens)
    assert short.shape == (2, 7)
    torch.testing.assert_close(tower(short), tower(tokens), atol=1e-6, rtol=0)
    tower.pool_type = "last"
    assert tower.without_padding(tokens) is tokens
    tower.pool_type, tower.attn_mask = "argmax", None
    assert tower.without_padding(tokens) is tokens


def test_token_ids_of_a_test_may_be_trained_with(tiny_clip_config: Path) -> None:
    """On another device than they are made on, and kept there."""
    encoder = TextEncoder(load_clip(str(tiny_clip_config), "random:0"))
    encoder.tower.to("meta")
    with torch.inference_mode():
        tokens = encoder._tokens_of(("cat",))
    assert tokens.device.type == "meta" and not tokens.is_inference()
    assert encoder._tokens_of(("cat",)) is tokens
