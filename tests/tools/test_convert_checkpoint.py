"""tools/convert_checkpoint.py on the reference archives, saved in the published layout."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import convert_checkpoint
import numpy as np
import open_clip
import pytest
import torch
from check_reference import clip_config, published_name, read
from mmengine.config import Config
from mmseg.registry import MODELS
from model_converters.published import our_names, summary
from torch import Tensor

from zegclip.errors import InputError
from zegclip.files import read_checkpoint
from zegclip.vocabulary import Vocabulary

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.filterwarnings("ignore:trusty_target='unseen_gt'")


def archive_of(method: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    return read(ROOT / "tests" / "data" / f"{method}_reference.npz")


def published_state(method: str) -> dict[str, Tensor]:
    """The parameters as the published code's state dict has them."""
    state = {k: v for k, v in archive_of(method)[1].items() if k.startswith("state.")}
    return {published_name(key.removeprefix("state.")): value for key, value in state.items()}


def write_config(folder: Path, method: str) -> Path:
    """The archive's CLIP as files, and a config of ours for it."""
    config, head = archive_of(method)[0], archive_of(method)[0]["head"]
    clip = open_clip.CLIP(**clip_config(config)).state_dict()
    for name, value in published_state(method).items():
        if name.startswith("text_encoder."):
            clip[name.removeprefix("text_encoder.")] = value
        elif name.startswith("backbone.") and "prompt" not in name:
            clip[name.replace("backbone.", "visual.")] = value
    torch.save(clip, folder / "clip.pt")
    (folder / "clip.json").write_text(json.dumps(clip_config(config)))
    decoder = {
        "num_layers": head["layers"],
        "num_heads": head["heads"],
        "feedforward_channels": head["ffn"],
    }
    path = folder / f"{method}_reference.py"
    path.write_text(
        f"""
_base_ = {str(ROOT / "configs" / f"{method}_voc_inductive.py")!r}
model = dict(
    clip=dict(model_name={str(folder / "clip.json")!r}, weights={str(folder / "clip.pt")!r}),
    image_encoder=dict(num_prompts={config["prompts"]["tokens"]}),
    decode_head=dict(decoder={decoder}),
    test_cfg=dict(_delete_=True, mode="whole"),
)
"""
    )
    return path


def convert(folder: Path, method: str, state: Any = None, config: Path | None = None) -> Path:
    """A checkpoint as mmcv 1.x writes it, converted to ``ours.pth`` (and ``ours.py``)."""
    config = config or write_config(folder, method)
    meta = {
        "mmcv_version": "1.4.4",
        "CLASSES": [f"class {index}" for index in range(6)],
        "hook_msgs": {"last_ckpt": "iter_20000.pth"},
    }
    content = {"meta": meta, "state_dict": published_state(method) if state is None else state}
    content["optimizer"] = {"state": {0: {"step": 7}}, "param_groups": [{"lr": 1e-4}]}
    torch.save(content, folder / "official.pth")
    arguments = [folder / "official.pth", "--method", method, "--config", config]
    convert_checkpoint.main([*map(str, arguments), "--out", str(folder / "ours.pth")])
    return folder / "ours.pth"


def load(config: Path, checkpoint: Path) -> Any:
    model = MODELS.build(Config.fromfile(config).model)
    model.load_state_dict(read_checkpoint(checkpoint)["state_dict"])
    return model.eval()


@pytest.mark.parametrize(
    ("method", "published", "ours"),
    [
        ("zegclip", "backbone.conv1.weight", "image_encoder.visual.conv1.weight"),
        (
            "zegclip",
            "decode_head.decoder_1.layers.1.multihead_attn.k.bias",
            "decode_head.decoder.layers.1.cross_attention.key.bias",
        ),
        (
            "zegclip",
            "decode_head.decoder_1.layers.2.multihead_attn.k.bias",
            "decode_head.decoder.mask_attention.key.bias",
        ),
        ("zegclip", "decode_head.decoder_1.layers.2.linear1.weight", None),
        ("zegclip", "decode_head.decoder_1.layers.0.self_attn.in_proj_weight", None),
        (
            "tagclip",
            "decode_head.decoder.layers.0.norm1.weight",
            "decode_head.trusty_learner.norm.weight",
        ),
        ("tagclip", "decode_head.decoder.layers.1.norm1.weight", None),
        ("tagclip", "something.else", None),
    ],
)
def test_names(method: str, published: str, ours: str | None) -> None:
    assert our_names([published, *published_state(method)], method)[published] == ours


def test_names_are_put_together() -> None:
    names = ["a.layers.0.norm1.weight", "a.layers.1.norm1.bias", "b.in_proj_weight"]
    assert summary(names) == "a.layers.*.norm1 (2), b.in_proj (1)"


@pytest.mark.parametrize("method", ["zegclip", "tagclip"])
def test_a_converted_model_gives_the_published_numbers(
    method: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = convert(tmp_path, method)
    said = capsys.readouterr().out
    (dropped,) = (line for line in said.splitlines() if line.startswith("dropped"))
    assert "linear1 (2)" in dropped and "class_embedding_twice=True" in said
    if method == "zegclip":
        assert "decode_head.decoder_1.layers.*.self_attn.in_proj (6)" in dropped
    else:
        assert "decode_head.decoder.layers.*.norm1 (4)" in dropped
        assert "trusty_target='unseen_gt'" in said

    model, (_, arrays) = load(checkpoint.with_suffix(".py"), checkpoint), archive_of(method)
    embeddings = model.text_encoder.tower(arrays["in.tokens"])
    model.class_embeddings = lambda: embeddings  # of token ids that no words make
    weighted = {"inductive": "weight_both.", "transductive": "weight_none."}
    for setting, weighting in weighted.items():
        classes = tuple(f"class {index}" for index in range(len(embeddings)))
        unseen = tuple(classes[index] for index in arrays["in.unseen"])
        model.set_vocabulary(Vocabulary(classes, unseen=unseen, setting=setting))
        name = f"out.eval.{weighting if method == 'tagclip' else ''}{setting}"
        with torch.no_grad():
            samples = model.predict(arrays["in.image"])
        for sample, theirs in zip(samples, arrays[name], strict=True):
            np.testing.assert_allclose(sample.seg_logits.data, theirs, rtol=0, atol=1e-5)


def test_a_file_that_counts_the_class_embedding_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = published_state("zegclip")
    convert(
        tmp_path,
        "zegclip",
        state | {"backbone.class_embedding": state["backbone.class_embedding"] / 2},
    )
    assert "class_embedding_twice=False" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("method", "option"),
    [
        ("zegclip", "model.image_encoder.class_embedding_twice=True"),
        ("tagclip", "model.decode_head.trusty_target='unseen_gt'"),
    ],
)
def test_the_config_beside_it_is_needed(method: str, option: str, tmp_path: Path) -> None:
    checkpoint = convert(tmp_path, method)
    with pytest.raises(InputError, match=f"set {option}"):
        load(tmp_path / f"{method}_reference.py", checkpoint)
    with pytest.raises(InputError, match=r"another model.*tools/convert_checkpoint\.py"):
        load(tmp_path / f"{method}_reference.py", tmp_path / "official.pth")


def transpose(state: dict[str, Tensor], config: Path) -> None:
    state["decode_head.q_proj.weight"] = state["decode_head.q_proj.weight"].T.contiguous()


def leave_clip_out(state: dict[str, Tensor], config: Path) -> None:
    for key in [key for key in state if key.startswith("backbone") and "prompt" not in key]:
        del state[key]


def change_clip(state: dict[str, Tensor], config: Path) -> None:
    state["backbone.proj"] = state["backbone.proj"] * 1.1


def change_prompts(state: dict[str, Tensor], config: Path) -> None:
    config.write_text(config.read_text().replace("num_prompts=3", "num_prompts=5"))


def use_another_method(state: dict[str, Tensor], config: Path) -> None:
    for key in [key for key in state if key.startswith("decode_head.")]:
        state[key.replace("decoder_1", "decoder")] = state.pop(key)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (transpose, r"q_proj\.weight is \(64, 32\)"),
        (leave_clip_out, r"lacks backbone\.class_embedding.*complete checkpoint"),
        (change_clip, "visual.proj is not that of the config's CLIP"),
        (change_prompts, r"prompt_embeddings is \(3, 3, 64\).*\(3, 5, 64\)"),
        (use_another_method, "no zegclip checkpoint.*lacks decode_head"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_files_that_do_not_fit(
    change: Callable[[dict[str, Tensor], Path], None], message: str, tmp_path: Path
) -> None:
    config, state = write_config(tmp_path, "zegclip"), published_state("zegclip")
    change(state, config)
    with pytest.raises(InputError, match=message):
        convert(tmp_path, "zegclip", state, config)
    assert not (tmp_path / "ours.pth").exists()


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"code": os.getcwd}, r"official\.pth is refused.*getcwd"),
        ({}, "holds no tensors"),
        ({"image_encoder.prompts": torch.zeros(1)}, "one of ours already"),
    ],
)
def test_files_that_are_none(state: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        convert(tmp_path, "zegclip", state, tmp_path / "unused.py")


def test_existing_files_stay(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ours.pth").touch()
    with pytest.raises(SystemExit):
        convert(tmp_path, "zegclip")
    assert "say --force to overwrite" in capsys.readouterr().err


def test_numbers_in_the_logs_of_old_files_do_no_harm(tmp_path: Path) -> None:
    meta = {"hook_msgs": {"best_score": np.float64(0.5), "epoch": np.int64(3)}}
    torch.save({"state_dict": {"module.x": torch.ones(1)}, "meta": meta}, tmp_path / "old.pth")
    assert set(convert_checkpoint.read_tensors(tmp_path / "old.pth")) == {"x"}
    with pytest.raises(InputError, match="refused"):
        read_checkpoint(tmp_path / "old.pth")
