"""Loading CLIP: weights in the real file formats, and what is refused by name."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from zegclip.clip import check_clip, load_clip, loading
from zegclip.errors import InputError
from zegclip.files import PROJECT_ROOT


@pytest.fixture
def model(tiny_clip_config: Path) -> nn.Module:
    """Its weights are what half precision holds exactly, so that all formats agree."""
    return load_clip(str(tiny_clip_config), "random:1").model.half().float()


def save_like_openai(model: nn.Module, file: Path) -> None:
    half = copy.deepcopy(model).half()
    half.register_buffer("input_resolution", torch.tensor(32))
    torch.jit.save(torch.jit.script(half), str(file))


def save_like_a_training_program(model: nn.Module, file: Path) -> None:
    state = {f"module.{name}": value.half() for name, value in model.state_dict().items()}
    torch.save({"state_dict": state, "epoch": 3}, file)


@pytest.fixture
def config_with(tmp_path: Path, tiny_clip_config: Path) -> Callable[..., str]:
    """Writes the tiny model's config with changes, and returns its path."""

    def write(vision: dict[str, Any] | None = None, **changes: Any) -> str:
        config = json.loads(tiny_clip_config.read_text()) | changes
        config["vision_cfg"] |= vision or {}
        (tmp_path / "changed.json").write_text(json.dumps(config))
        return str(tmp_path / "changed.json")

    return write


@pytest.mark.parametrize(
    ("name", "save"),
    [
        ("openai.pt", save_like_openai),
        ("weights.safetensors", lambda model, file: save_file(model.state_dict(), file)),
        ("plain.pt", lambda model, file: torch.save(model.state_dict(), file)),
        ("wrapped.pth", save_like_a_training_program),
    ],
)
def test_every_file_format_gives_the_same_model(
    name: str, save: Callable[..., None], tmp_path: Path, tiny_clip_config: Path, model: nn.Module
) -> None:
    save(model, tmp_path / name)
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    clip = load_clip(str(tiny_clip_config), str(tmp_path / name))
    assert torch.rand(1) == expected  # the caller's generator is left alone
    assert not clip.model.training and clip.fingerprint == loading.fingerprint(model)
    for (key, parameter), own in zip(clip.model.named_parameters(), model.parameters()):
        assert not parameter.requires_grad and parameter.dtype == torch.float32
        assert torch.equal(parameter, own), key


def test_fingerprint_follows_weights_and_activation(
    tiny_clip_config: Path, config_with: Callable[..., str]
) -> None:
    pairs = [(str(tiny_clip_config), "random:1"), (str(tiny_clip_config), "random:2")]
    pairs.append((config_with(quick_gelu=False), "random:1"))
    found = [load_clip(*pair).fingerprint for pair in pairs]
    assert len(set(found)) == 3
    assert [load_clip(*pair).fingerprint for pair in pairs] == found
    # It is the one in checkpoints.
    mini = ("data/mini/tiny_clip.json", "data/mini/tiny_clip.safetensors")
    assert check_clip(*mini) is None
    checkpoint = torch.load(PROJECT_ROOT / "data/mini/mini_model.pth", weights_only=True)
    fingerprint = bytes(checkpoint["state_dict"]["clip_fingerprint"]).hex()
    assert load_clip(*mini).fingerprint == fingerprint


@pytest.mark.parametrize(
    ("name", "weights", "words"),
    [
        ("ViT-B-16-quickgelu", "data/clip/no.pt", ["clip/no.pt", "OpenAI's ViT-B-16.pt", "openai"]),
        ("ViT-B-16-quickgelu", "opanai", ["'opanai'", "did you mean 'openai'"]),
        ("ViT-B-17", "openai", ["ViT-B-17", "did you mean 'ViT-B-16"]),
        ("RN50", "openai", ["RN50", "not a plain ViT", "ViT-B-16-quickgelu"]),
        ("coca_ViT-B-32", "laion2b_s13b_b90k", ["coca_ViT-B-32", "not a plain ViT"]),
        ("no.json", "random", ["config not found", "no.json"]),
        # open_clip would run the tokenizer that such a place names.
        ("hf-hub:somebody/clip", "random", ["no model 'hf-hub:somebody/clip'"]),
        ("local-dir:/somewhere", "random", ["no model 'local-dir:/somewhere'"]),
        # The other activation: tags of both models, and of the other one alone.
        ("ViT-B-16", "openai", ["QuickGELU", "use model_name='ViT-B-16-quickgelu'"]),
        ("ViT-B-16", "dfn2b", ["QuickGELU", "use model_name='ViT-B-16-quickgelu'"]),
        ("ViT-B-16-quickgelu", "laion2b_s34b_b88k", ["with GELU", "use model_name='ViT-B-16'"]),
    ],
)
def test_what_is_missing_is_found_without_loading(
    name: str, weights: str, words: list[str]
) -> None:
    problem = check_clip(name, weights)
    assert problem is not None
    assert [word for word in words if word not in problem] == []
    with pytest.raises(InputError) as error:
        load_clip(name, weights)
    assert str(error.value) == problem


def test_files_that_do_not_fit_the_model_are_named(
    tmp_path: Path, model: nn.Module, config_with: Callable[..., str]
) -> None:
    state = model.state_dict()
    save_like_openai(model, tmp_path / "openai.pt")
    save_file(state, tmp_path / "gelu.safetensors", {"quick_gelu": "false"})
    torch.save(state, tmp_path / "small.pt")
    described = "look like those of a ViT of width 64, 3 layers, patch 8"
    for config, file, message in (
        ({"quick_gelu": True}, "gelu.safetensors", 'with GELU.*"quick_gelu": false in .*json'),
        ({"quick_gelu": False}, "openai.pt", 'with QuickGELU.*"quick_gelu": true in .*json'),
        ({"vision": {"width": 96}}, "small.pt", f"does not fit.*size mismatch for .*{described}"),
        ({"vision": {"layers": 2}}, "small.pt", f"does not fit.*Unexpected key.*{described}"),
    ):
        with pytest.raises(InputError, match=f"{file}.*{message}"):
            load_clip(config_with(**config), str(tmp_path / file))


@pytest.mark.parametrize("content", ["{}", "[]", '{"model_cfg": {"vision_cfg": {}}}'])
def test_a_json_that_is_no_config_is_named(content: str, tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text(content)
    with pytest.raises(InputError, match=r"other\.json is no config of open_clip"):
        load_clip(str(tmp_path / "other.json"), "random")


def test_a_seed_is_a_number(tiny_clip_config: Path) -> None:
    with pytest.raises(InputError, match=r"'random:x' is no tag"):
        load_clip(str(tiny_clip_config), "random:x")


def test_files_without_weights_are_named(tmp_path: Path, tiny_clip_config: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "ran",))

    for name in ("broken.pt", "broken.safetensors"):
        (tmp_path / name).write_bytes(b"nonsense" * 100)
    torch.save(torch.zeros(1), tmp_path / "tensor.pt")
    torch.save({"visual.proj": Evil()}, tmp_path / "evil.pt")
    for name in ("broken.pt", "broken.safetensors", "tensor.pt", "evil.pt is refused"):
        with pytest.raises(InputError, match=name):
            load_clip(str(tiny_clip_config), str(tmp_path / name.split()[0]))
    assert not (tmp_path / "ran").exists()


def test_a_torchscript_archive_runs_nothing(tmp_path: Path, tiny_clip_config: Path) -> None:
    made = tmp_path / "made by the archive"

    class Evil(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.value = torch.zeros(1)
            self.file = str(made)

        def forward(self, x: Tensor) -> Tensor:
            return x

        @torch.jit.export
        def __getstate__(self) -> tuple[str, bool]:
            return (self.file, self.training)

        @torch.jit.export
        def __setstate__(self, state: tuple[str, bool]) -> None:
            self.file = state[0]
            self.training = state[1]
            self.value = torch.from_file(self.file, True, 4)

    torch.jit.save(torch.jit.script(Evil()), str(tmp_path / "evil.pt"))
    made.unlink(missing_ok=True)
    torch.jit.load(str(tmp_path / "evil.pt"))
    assert made.exists()  # torch.jit.load runs it
    made.unlink()
    with pytest.raises(InputError, match=r"evil\.pt does not fit"):
        load_clip(str(tiny_clip_config), str(tmp_path / "evil.pt"))
    assert not made.exists()
