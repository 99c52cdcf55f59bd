"""tools/convert_checkpoint.py on the reference archives, saved in the published layout."""

from __future__ import annotations

import json
import os
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import convert_checkpoint
import numpy as np
import pytest
import torch
from mmengine.logging import MessageHub, MMLogger
from mmseg.visualization import SegLocalVisualizer
from model_converters.published import our_names, summary
from PIL import Image

from zegclip.errors import InputError

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(Path(__file__).parent / "reference"))

from files import (  # noqa: E402
    arrays_of,
    published_state,
    write_clip,
    write_config,
    write_published,
)

METHODS = ("zegclip", "tagclip")


@pytest.mark.parametrize(
    ("method", "published", "ours"),
    [
        ("zegclip", "backbone.deep_prompt_embeddings", "image_encoder.deep_prompts"),
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
        ("tagclip", "decode_head.disc_token", "decode_head.trusty_token"),
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
    names = [published, *published_state(arrays_of(method))]
    assert our_names(names, method)[published] == ours


def run_test(monkeypatch: pytest.MonkeyPatch, *args: object) -> None:
    """tools/test.py in this process."""
    monkeypatch.setattr(sys, "argv", ["test.py", *map(str, args)])
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    for kept in (SegLocalVisualizer, MMLogger, MessageHub):
        kept._instance_dict.clear()
    runpy.run_path(str(ROOT / "tools" / "test.py"), run_name="__main__")


def convert(folder: Path, method: str, config: Path | None = None) -> Path:
    """``official.pth`` in the folder, converted to ``ours.pth`` (and ``ours.py``)."""
    config = config or write_config(folder, method)
    if not (folder / "official.pth").exists():
        write_published(folder / "official.pth", arrays_of(method))
    arguments = [folder / "official.pth", "--method", method, "--config", config]
    convert_checkpoint.main([*map(str, arguments), "--out", str(folder / "ours.pth")])
    return folder / "ours.pth"


@pytest.mark.parametrize("method", METHODS)
def test_the_published_numbers_through_tools_test(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
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

    arrays = arrays_of(method)
    published = "weight_both.inductive" if method == "tagclip" else "inductive"
    theirs = arrays[f"out.eval.{published}"]
    monkeypatch.chdir(tmp_path)
    folders = ["--work-dir", tmp_path / "w", "--out", tmp_path / "maps"]
    run_test(monkeypatch, checkpoint.with_suffix(".py"), checkpoint, *folders)
    for index, probabilities in enumerate(theirs):
        ours = np.load(tmp_path / "probabilities" / f"{index}.npy")
        np.testing.assert_allclose(ours, probabilities, rtol=0, atol=1e-5)
        labels = np.asarray(Image.open(tmp_path / "maps" / f"{index}.png"))
        top = np.sort(probabilities, axis=0)
        clear = top[-1] - top[-2] > 2e-5
        assert clear.mean() > 0.9
        np.testing.assert_array_equal(labels[clear], probabilities.argmax(0)[clear])
    report = json.loads((tmp_path / "w" / "report.json").read_text())
    assert report["protocol"]["unseen"] == ["class 3", "class 5"]

    options = ["test_dataloader.dataset.setting=transductive", "custom_hooks.0.out_dir=t"]
    run_test(
        monkeypatch, checkpoint.with_suffix(".py"), checkpoint, *folders[:2],
        "--cfg-options", *options,
    )  # fmt: skip
    name = "weight_none.transductive" if method == "tagclip" else "transductive"
    np.testing.assert_allclose(np.load("t/1.npy"), arrays[f"out.eval.{name}"][1], rtol=0, atol=1e-5)


def test_a_file_that_counts_the_class_embedding_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arrays = arrays_of("zegclip")
    arrays["state.visual.class_embedding"] = arrays["state.visual.class_embedding"] / 2
    write_published(tmp_path / "official.pth", arrays)
    convert(tmp_path, "zegclip")
    assert "class_embedding_twice=False" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("method", "option"),
    [
        ("zegclip", "model.image_encoder.class_embedding_twice=True"),
        ("tagclip", "model.decode_head.trusty_target='unseen_gt'"),
    ],
)
def test_the_config_beside_it_is_needed(
    method: str, option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = convert(tmp_path, method)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match=f"set {option}"):
        run_test(monkeypatch, f"{method}_reference.py", checkpoint)


def test_an_unconverted_file_is_not_tested(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """mmengine would load nothing of it, and report random numbers."""
    config = write_config(tmp_path, "zegclip")
    torch.save({"state_dict": published_state(arrays_of("zegclip"))}, tmp_path / "official.pth")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match=r"another model.*tools/convert_checkpoint\.py"):
        run_test(monkeypatch, config, tmp_path / "official.pth")
    assert not list(tmp_path.glob("work_dirs/*/report.json"))


def transpose(folder: Path, arrays: dict[str, Any], config: Path) -> None:
    arrays["state.head.q_proj.weight"] = arrays["state.head.q_proj.weight"].T.copy()


def leave_clip_out(folder: Path, arrays: dict[str, Any], config: Path) -> None:
    for key in list(arrays):
        if key.startswith("state.visual") and "prompt" not in key:
            del arrays[key]


def change_clip(folder: Path, arrays: dict[str, Any], config: Path) -> None:
    write_clip(folder, arrays | {"state.visual.proj": arrays["state.visual.proj"] * 1.1})


def change_prompts(folder: Path, arrays: dict[str, Any], config: Path) -> None:
    config.write_text(config.read_text().replace("num_prompts=3", "num_prompts=5"))


def use_another_method(folder: Path, arrays: dict[str, Any], config: Path) -> None:
    for key in list(arrays):
        if key.startswith("state.head"):
            arrays[key.replace("decoder_1", "decoder")] = arrays.pop(key)
    arrays["state.head.disc_token"] = arrays["state.head.q_proj.bias"]


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
    change: Callable[[Path, dict[str, Any], Path], None], message: str, tmp_path: Path
) -> None:
    config, arrays = write_config(tmp_path, "zegclip"), arrays_of("zegclip")
    change(tmp_path, arrays, config)
    write_published(tmp_path / "official.pth", arrays)
    with pytest.raises(InputError, match=message):
        convert(tmp_path, "zegclip", config)
    assert not (tmp_path / "ours.pth").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"state_dict": {}, "meta": os.getcwd}, r"official\.pth is refused.*getcwd"),
        ({"state_dict": {}}, "holds no tensors"),
        ({"image_encoder.prompts": torch.zeros(1)}, "one of ours already"),
        (None, r"official\.pth cannot be read"),
    ],
)
def test_files_that_are_none(content: Any, message: str, tmp_path: Path) -> None:
    if content is None:
        (tmp_path / "official.pth").write_bytes(b"no checkpoint at all")
    else:
        torch.save(content, tmp_path / "official.pth")
    with pytest.raises(InputError, match=message):
        convert(tmp_path, "zegclip", tmp_path / "unused.py")


def test_existing_files_stay(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ours.pth").touch()
    with pytest.raises(SystemExit):
        convert(tmp_path, "zegclip")
    assert "say --force to overwrite" in capsys.readouterr().err


def test_names_are_put_together() -> None:
    names = ["a.layers.0.norm1.weight", "a.layers.1.norm1.bias", "b.in_proj_weight"]
    assert summary(names) == "a.layers.*.norm1 (2), b.in_proj (1)"
