"""Building CLIP and reading its weights from files in the real formats."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from zegclip.clip import check_clip, load_clip
from zegclip.errors import InputError


def state_of(config: Path, seed: int = 1) -> dict[str, Tensor]:
    return load_clip(str(config), f"random:{seed}").model.state_dict()


class _Node(nn.Module):
    """A module tree by dotted names, to be scripted into an archive like OpenAI's."""

    def forward(self, x: Tensor) -> Tensor:
        return x


def save_torchscript(state: dict[str, Tensor], file: Path) -> None:
    """Half precision TorchScript with OpenAI's scalars beside the parameters."""
    root = _Node()
    for name, value in state.items():
        *path, leaf = name.split(".")
        node: nn.Module = root
        for part in path:
            if part not in node._modules:
                node.add_module(part, _Node())
            node = node._modules[part]
        node.register_parameter(leaf, nn.Parameter(value.half(), requires_grad=False))
    for name, number in (("input_resolution", 32), ("context_length", 77), ("vocab_size", 49408)):
        root.register_buffer(name, torch.tensor(number))
    torch.jit.save(torch.jit.script(root), str(file))


@pytest.fixture
def rounded(tiny_clip_config: Path) -> dict[str, Tensor]:
    """Weights that half precision holds exactly, so that all formats agree."""
    return {name: value.half().float() for name, value in state_of(tiny_clip_config).items()}


def test_every_file_format_gives_the_same_model(
    tmp_path: Path, tiny_clip_config: Path, rounded: dict[str, Tensor]
) -> None:
    save_torchscript(rounded, tmp_path / "openai.pt")
    save_file(rounded, str(tmp_path / "half.safetensors"))
    torch.save(rounded, tmp_path / "plain.pt")
    wrapped = {f"module.{name}": value.half() for name, value in rounded.items()}
    torch.save({"state_dict": wrapped, "epoch": 3}, tmp_path / "wrapped.pth")
    loaded = [
        load_clip(str(tiny_clip_config), str(tmp_path / name))
        for name in ("openai.pt", "half.safetensors", "plain.pt", "wrapped.pth")
    ]
    assert len({clip.fingerprint for clip in loaded}) == 1
    for clip in loaded:
        assert not clip.model.training
        for name, parameter in clip.model.named_parameters():
            assert not parameter.requires_grad and parameter.dtype == torch.float32
            assert torch.equal(parameter, rounded[name]), name


def test_random_weights_follow_their_seed_and_leave_the_generator_alone(
    tiny_clip_config: Path,
) -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first = load_clip(str(tiny_clip_config), "random:1").fingerprint
    assert torch.equal(torch.rand(1), expected)
    assert load_clip(str(tiny_clip_config), "random:1").fingerprint == first
    assert load_clip(str(tiny_clip_config), "random:2").fingerprint != first


def test_fingerprint_sees_a_changed_tensor(
    tmp_path: Path, tiny_clip_config: Path, rounded: dict[str, Tensor]
) -> None:
    torch.save(rounded, tmp_path / "one.pt")
    rounded["visual.proj"] = rounded["visual.proj"] + 1
    torch.save(rounded, tmp_path / "other.pt")
    one, other = (
        load_clip(str(tiny_clip_config), str(tmp_path / name)) for name in ("one.pt", "other.pt")
    )
    assert one.fingerprint != other.fingerprint


def test_openai_archive_needs_quickgelu(
    tmp_path: Path, tiny_clip_config: Path, rounded: dict[str, Tensor]
) -> None:
    save_torchscript(rounded, tmp_path / "openai.pt")
    config = json.loads(tiny_clip_config.read_text()) | {"quick_gelu": False}
    (tmp_path / "tiny.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=r"openai\.pt.*QuickGELU.*: true in .*tiny"):
        load_clip(str(tmp_path / "tiny.json"), str(tmp_path / "openai.pt"))


@pytest.mark.parametrize(
    ("name", "tag", "right"),
    [
        ("ViT-B-16", "openai", "'ViT-B-16-quickgelu'"),
        ("ViT-B-16", "dfn2b", "'ViT-B-16-quickgelu'"),
        ("ViT-B-16-quickgelu", "laion2b_s34b_b88k", "model_name='ViT-B-16'"),
    ],
)
def test_tag_with_the_wrong_activation_names_the_right_model(
    name: str, tag: str, right: str
) -> None:
    assert tag in open_clip.list_pretrained_tags_by_model("ViT-B-16")
    problem = check_clip(name, tag)
    assert problem is not None and right in problem


@pytest.mark.parametrize(
    ("name", "weights", "words"),
    [
        ("ViT-B-16-quickgelu", "data/clip/absent.pt", ["absent.pt", "ViT-B-16.pt", "openai"]),
        ("ViT-B-16-quickgelu", "openai", ["HF_HUB_OFFLINE", "data/clip/ViT-B-16.pt"]),
        ("ViT-B-16-quickgelu", "opanai", ["'opanai'", "did you mean 'openai'"]),
        ("ViT-B-17", "openai", ["ViT-B-17", "did you mean", "ViT-B-16"]),
        ("RN50", "openai", ["RN50", "no plain ViT", "ViT-B-16-quickgelu"]),
        ("coca_ViT-B-32", "laion2b_s13b_b90k", ["coca_ViT-B-32", "attention"]),
        ("absent.json", "random", ["config not found", "absent.json"]),
        ("ViT-B-16", "random:x", ["the seed is no number"]),
    ],
)
def test_what_is_missing_is_one_message(
    name: str, weights: str, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))  # no cache of an earlier download
    problem = check_clip(name, weights)
    assert problem is not None
    assert [word for word in words if word not in problem] == []
    with pytest.raises(InputError) as error:
        load_clip(name, weights)
    assert str(error.value) == problem


def test_nothing_is_missing_of_a_good_pair(tiny_clip_config: Path) -> None:
    assert check_clip(str(tiny_clip_config), "random:0") is None


def test_weights_of_another_model_are_described(
    tmp_path: Path, tiny_clip_config: Path, rounded: dict[str, Tensor]
) -> None:
    config: dict[str, Any] = json.loads(tiny_clip_config.read_text())
    config["vision_cfg"]["width"] = 96
    (tmp_path / "wide.json").write_text(json.dumps(config))
    torch.save(rounded, tmp_path / "narrow.pt")
    with pytest.raises(
        InputError, match=r"narrow\.pt does not fit.*instead of.*width 64, 3 layers, patch 8"
    ):
        load_clip(str(tmp_path / "wide.json"), str(tmp_path / "narrow.pt"))


@pytest.mark.parametrize("name", ["broken.pt", "broken.safetensors"])
def test_broken_file_is_named(tmp_path: Path, tiny_clip_config: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"nonsense" * 100)
    with pytest.raises(InputError, match=name.replace(".", r"\.")):
        load_clip(str(tiny_clip_config), str(tmp_path / name))


def test_a_pickle_with_code_is_refused(tmp_path: Path, tiny_clip_config: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"visual.proj": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(InputError, match=r"evil\.pt cannot be read as plain weights"):
        load_clip(str(tiny_clip_config), str(tmp_path / "evil.pt"))
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
    assert made.exists()  # it does what it is meant to, if it is run
    made.unlink()
    with pytest.raises(InputError, match=r"evil\.pt does not fit"):
        load_clip(str(tiny_clip_config), str(tmp_path / "evil.pt"))
    assert not made.exists()


def test_weights_of_a_deeper_model_are_not_cut(
    tmp_path: Path, tiny_clip_config: Path, rounded: dict[str, Tensor]
) -> None:
    config: dict[str, Any] = json.loads(tiny_clip_config.read_text())
    config["vision_cfg"]["layers"] = 2
    (tmp_path / "shallow.json").write_text(json.dumps(config))
    torch.save(rounded, tmp_path / "deep.pt")
    with pytest.raises(InputError, match=r"holds visual\..*resblocks\.2.*3 layers"):
        load_clip(str(tmp_path / "shallow.json"), str(tmp_path / "deep.pt"))


def test_safetensors_metadata_tell_the_activation(
    tmp_path: Path, tiny_clip_config: Path, rounded: dict[str, Tensor]
) -> None:
    save_file(rounded, str(tmp_path / "gelu.safetensors"), {"quick_gelu": "false"})
    with pytest.raises(InputError, match=r"trained with GELU.*\"quick_gelu\": false in"):
        load_clip(str(tiny_clip_config), str(tmp_path / "gelu.safetensors"))


def test_reading_weights_leaves_the_generator_alone(
    tmp_path: Path, tiny_clip_config: Path, rounded: dict[str, Tensor]
) -> None:
    torch.save(rounded, tmp_path / "plain.pt")
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    load_clip(str(tiny_clip_config), str(tmp_path / "plain.pt"))
    assert torch.equal(torch.rand(1), expected)


def test_fingerprint_tells_the_activation(tmp_path: Path, tiny_clip_config: Path) -> None:
    config = json.loads(tiny_clip_config.read_text()) | {"quick_gelu": False}
    (tmp_path / "gelu.json").write_text(json.dumps(config))
    with_gelu = load_clip(str(tmp_path / "gelu.json"), "random:1").fingerprint
    assert with_gelu != load_clip(str(tiny_clip_config), "random:1").fingerprint
