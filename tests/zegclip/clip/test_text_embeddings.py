"""Class embeddings: templates, synonyms, order, cache."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from zegclip.clip import TEMPLATES, LoadedClip, TextEncoder, TextTower, find_templates, load_clip
from zegclip.vocabulary import Vocabulary


@pytest.fixture(scope="module")
def clip(tiny_clip_config: Path) -> LoadedClip:
    return load_clip(str(tiny_clip_config), "random:0")


def embed(clip: LoadedClip, *texts: str) -> Tensor:
    with torch.no_grad():
        return clip.model.encode_text(clip.tokenizer(list(texts)), normalize=True)


def test_single_template_is_the_text_tower(clip: LoadedClip, tmp_path: Path) -> None:
    encoder = TextEncoder(clip, cache_dir=tmp_path)
    rows = encoder(Vocabulary(classes=("cat", "tvmonitor"), synonyms={"tvmonitor": ("tv",)}))
    expected = embed(clip, "a photo of a cat", "a photo of a tv")
    torch.testing.assert_close(rows, expected, atol=1e-6, rtol=0)


def test_templates_and_synonyms_are_averaged_as_unit_vectors(
    clip: LoadedClip, tmp_path: Path
) -> None:
    encoder = TextEncoder(clip, templates=["a {}.", "one {}"], cache_dir=tmp_path)
    rows = encoder(Vocabulary(classes=("cat", "bus"), synonyms={"cat": ("cat", "kitten")}))
    words = [
        F.normalize(embed(clip, f"a {word}.", f"one {word}").mean(0), dim=0)
        for word in ("cat", "kitten", "bus")
    ]
    expected = torch.stack([F.normalize((words[0] + words[1]) / 2, dim=0), words[2]])
    torch.testing.assert_close(rows, expected, atol=1e-6, rtol=0)


def test_rows_follow_the_class_order(clip: LoadedClip, tmp_path: Path) -> None:
    encoder = TextEncoder(clip, cache_dir=tmp_path)
    rows = encoder(Vocabulary(classes=("cat", "bus", "tree")))
    turned = encoder(Vocabulary(classes=("tree", "cat", "bus")))
    torch.testing.assert_close(turned, rows[[2, 0, 1]])


def test_second_time_comes_from_the_cache(
    clip: LoadedClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vocabulary = Vocabulary(classes=("cat", "bus"))
    first = TextEncoder(clip, cache_dir=tmp_path)(vocabulary)
    other = TextEncoder(clip, cache_dir=tmp_path)
    monkeypatch.setattr(other, "embed", lambda words: pytest.fail("computed again"))
    assert torch.equal(other(vocabulary), first)


@pytest.mark.parametrize("change", ["weights", "templates", "words"])
def test_cache_key_follows(
    change: str, clip: LoadedClip, tmp_path: Path, tiny_clip_config: Path
) -> None:
    vocabulary = Vocabulary(classes=("cat", "bus"))
    first = TextEncoder(clip, cache_dir=tmp_path)(vocabulary)
    templates = "single"
    if change == "weights":
        clip = load_clip(str(tiny_clip_config), "random:1")
    elif change == "templates":
        templates = "multi15"
    else:
        vocabulary = Vocabulary(classes=("cat", "bus"), synonyms={"bus": ("coach",)})
    assert not torch.allclose(TextEncoder(clip, templates, tmp_path)(vocabulary), first)


def test_broken_cache_is_computed_anew(clip: LoadedClip, tmp_path: Path) -> None:
    vocabulary = Vocabulary(classes=("cat", "bus"))
    first = TextEncoder(clip, cache_dir=tmp_path)(vocabulary)
    (file,) = tmp_path.glob("*.safetensors")
    file.write_bytes(file.read_bytes()[:40])
    with pytest.warns(UserWarning, match="broken and computed anew"):
        assert torch.equal(TextEncoder(clip, cache_dir=tmp_path)(vocabulary), first)


def test_unwritable_cache_is_no_error(clip: LoadedClip, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.warns(UserWarning, match="not cached"):
        rows = TextEncoder(clip, cache_dir=tmp_path / "file")(Vocabulary(classes=("cat",)))
    assert rows.shape == (1, 32)


def test_too_long_a_name_is_named(clip: LoadedClip, tmp_path: Path) -> None:
    name = "very " * 90 + "long"
    with pytest.warns(UserWarning, match="very very.*77 tokens"):
        TextEncoder(clip, cache_dir=tmp_path)(Vocabulary(classes=(name,)))


def test_template_sets() -> None:
    assert {name: len(templates) for name, templates in TEMPLATES.items()} == {
        "single": 1,
        "multi15": 15,
        "imagenet80": 80,
    }
    for name, templates in TEMPLATES.items():
        assert len(set(templates)) == len(templates), name
        assert find_templates(templates) == templates  # each holds '{}' once


@pytest.mark.parametrize(
    ("templates", "message"),
    [
        ("vild", "'vild' is not one of single, multi15, imagenet80"),
        ([], "empty"),
        (["a photo"], "'a photo' must hold"),
        (["{} and {}"], "exactly once"),
    ],
)
def test_bad_templates(templates: str | list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        find_templates(templates)


def test_cache_is_not_shared_between_activations(tmp_path: Path, tiny_clip_config: Path) -> None:
    weights = tmp_path / "weights.pt"
    torch.save(load_clip(str(tiny_clip_config), "random:0").model.state_dict(), weights)
    config = json.loads(tiny_clip_config.read_text()) | {"quick_gelu": False}
    (tmp_path / "wrong.json").write_text(json.dumps(config))
    vocabulary = Vocabulary(classes=("cat", "bus"))
    wrong = load_clip(str(tmp_path / "wrong.json"), str(weights))
    TextEncoder(wrong, cache_dir=tmp_path)(vocabulary)
    clip = load_clip(str(tiny_clip_config), str(weights))
    rows = TextEncoder(clip, cache_dir=tmp_path)(vocabulary)
    expected = embed(clip, "a photo of a cat", "a photo of a bus")
    torch.testing.assert_close(rows, expected, atol=1e-6, rtol=0)


def test_a_vocabulary_smaller_than_the_tokenizers_is_named(
    tmp_path: Path, tiny_clip_config: Path
) -> None:
    config = json.loads(tiny_clip_config.read_text())
    config["text_cfg"]["vocab_size"] = 64
    (tmp_path / "small.json").write_text(json.dumps(config))
    encoder = TextEncoder(load_clip(str(tmp_path / "small.json"), "random"), cache_dir=tmp_path)
    with pytest.raises(ValueError, match=r"knows 64 tokens.*vocab_size"):
        encoder(Vocabulary(classes=("cat",)))


def test_positions_behind_the_texts_are_left_out_where_they_change_nothing(
    clip: LoadedClip,
) -> None:
    tower = TextTower(clip.model)
    tokens = clip.tokenizer(["a cat", "a photo of a bus"])
    short = tower.without_padding(tokens)
    assert short.shape == (2, 7)
    torch.testing.assert_close(tower(short), tower(tokens), atol=1e-6, rtol=0)
    tower.pool_type = "last"
    assert tower.without_padding(tokens) is tokens
    tower.pool_type, tower.attn_mask = "argmax", None
    assert tower.without_padding(tokens) is tokens
