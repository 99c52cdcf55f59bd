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


def convert(folder: Path, method: str, state: Any = None) -> Path:
    """A checkpoint as mmcv 1.x writes it, converted to ``ours.pth`` (and ``ours.py``)."""
    config = write_config(folder, method)
    # Old files hold numbers of their logs as numpy's.
    meta = {"mmcv_version": "1.4.4", "hook_msgs": {"best": np.float64(0.5), "epoch": np.int64(3)}}
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

    trained = read_checkpoint(checkpoint)["meta"]["dataset_meta"]
    assert len(trained["classes"]) == 20 and trained["setting"] == "inductive"
    assert trained["unseen"] == ("pottedplant", "sheep", "sofa", "train", "tvmonitor")

    model, (_, arrays) = load(checkpoint.with_suffix(".py"), checkpoint), archive_of(method)
    embeddings = model.text_encoder.tower(arrays["in.tokens"])
    model.class_embeddings = lambda _: embeddings  # of token ids that no words make
    model.test_cfg["keep_probabilities"] = True
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
    state["backbone.class_embedding"] = state["backbone.class_embedding"] / 2
    convert(tmp_path, "zegclip", state)
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
    official = {"state_dict": published_state(method)}
    torch.save(official, tmp_path / "official.pth")
    with pytest.raises(InputError, match=r"another model.*tools/convert_checkpoint\.py"):
        load(tmp_path / f"{method}_reference.py", tmp_path / "official.pth")


def without_clip(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k: v for k, v in state.items() if "prompt" in k or not k.startswith("backbone")}


def other_sizes(state: dict[str, Tensor]) -> dict[str, Tensor]:
    prompts = "backbone.prompt_embeddings"
    return {k: v[:, :1] if k == prompts else v for k, v in state.items()}


def other_clip(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k: v * 1.1 if k == "backbone.proj" else v for k, v in state.items()}


def other_method(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k.replace("decoder_1", "decoder"): v for k, v in state.items()}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without_clip, r"lacks backbone\.class_embedding.*complete checkpoint"),
        (other_sizes, r"prompt_embeddings is \(1, 1, 64\).*\(1, 3, 64\)"),
        (other_clip, "visual.proj is not that of the config's CLIP"),
        (other_method, "no zegclip checkpoint.*lacks decode_head"),
        (lambda state: {"code": os.getcwd}, r"official\.pth is refused.*getcwd"),
        (lambda state: {}, "holds no tensors"),
        (lambda state: {"image_encoder.prompts": torch.zeros(1)}, "one of ours already"),
    ],
)
def test_files_that_do_not_fit(
    change: Callable[[dict[str, Tensor]], Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        convert(tmp_path, "zegclip", change(published_state("zegclip")))
    assert not (tmp_path / "ours.pth").exists()


@pytest.mark.parametrize("name", ["ours.pth", "ours.py"])
def test_existing_files_stay(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / name).touch()
    with pytest.raises(SystemExit):
        convert(tmp_path, "zegclip")
    assert f"{name} exists: say --force to overwrite" in capsys.readouterr().err
    assert (tmp_path / name).stat().st_size == 0


def test_a_cross_dataset_test_s_model_was_trained_on_coco_stuff() -> None:
    cross, own = (
        convert_checkpoint.trained_on(ROOT / f"configs/zegclip_{name}.py", "zegclip")
        for name in ("coco_to_ade", "coco_inductive")
    )
    assert cross is not None and cross == own and len(cross["classes"]) == 171
