"""A reference archive as files: CLIP weights, a published checkpoint, a data set, a config."""

from __future__ import annotations

import json
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from PIL import Image

ROOT = Path(__file__).parents[3]
PREFIXES = {"visual": "backbone", "text": "text_encoder", "head": "decode_head"}


def arrays_of(method: str) -> dict[str, Any]:
    """The archive's arrays, ``config`` as a dict."""
    with np.load(ROOT / "tests" / "data" / f"{method}_reference.npz") as archive:
        content = {key: archive[key] for key in archive.files}
    return content | {"config": json.loads(str(content["config"]))}


def published_state(arrays: dict[str, Any]) -> OrderedDict[str, torch.Tensor]:
    """The parameters as the published code's state dict has them."""
    state = OrderedDict()
    for key, value in arrays.items():
        if key.startswith("state."):
            part, _, name = key.removeprefix("state.").partition(".")
            state[f"{PREFIXES[part]}.{name}"] = torch.from_numpy(value)
    return state


def write_published(path: Path, arrays: dict[str, Any]) -> None:
    """A checkpoint as mmcv 1.x writes it, with what it keeps beside the parameters."""
    meta = {
        "mmcv_version": "1.4.4",
        "mmseg_version": "0.20.2",
        "CLASSES": [f"class {index}" for index in range(6)],
        "PALETTE": np.zeros((6, 3), int).tolist(),
        "iter": 20000,
        "hook_msgs": {"best_score": np.float64(0.5), "last_ckpt": "iter_20000.pth"},
    }
    optimizer = {"state": {0: {"step": 7}}, "param_groups": [{"lr": 1e-4, "params": [0]}]}
    content = {"meta": meta, "state_dict": published_state(arrays), "optimizer": optimizer}
    torch.save(content, path)


def write_clip(folder: Path, arrays: dict[str, Any]) -> tuple[Path, Path]:
    """The archive's CLIP as an open_clip config and a state dict."""
    config = arrays["config"]
    visual = config["visual"]
    tower = {
        "embed_dim": config["embed_dim"],
        "quick_gelu": config["activation"] == "quick_gelu",
        "vision_cfg": {
            "image_size": config["image_size"],
            "patch_size": config["patch_size"],
            "width": visual["width"],
            "layers": visual["layers"],
            "head_width": visual["width"] // visual["heads"],
        },
        "text_cfg": config["text"],
    }
    state = open_clip.CLIP(**tower).state_dict()
    for key, value in arrays.items():
        name = key.removeprefix("state.visual.")
        if name != key and "prompt" not in name:
            state[f"visual.{name}"] = torch.from_numpy(value)
        elif key.startswith("state.text."):
            state[key.removeprefix("state.text.")] = torch.from_numpy(value)
    json_file, weights = folder / "clip.json", folder / "clip.pt"
    json_file.write_text(json.dumps(tower))
    torch.save(state, weights)
    return json_file, weights


def write_data(folder: Path, arrays: dict[str, Any]) -> None:
    """Masks, and empty pictures in whose place the archive's images are read."""
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    for index, labels in enumerate(arrays["in.gt"]):
        (folder / "images" / f"{index}.png").touch()
        Image.fromarray(labels.astype(np.uint8)).save(folder / "masks" / f"{index}.png")


def write_config(folder: Path, method: str) -> Path:
    """Everything above in ``folder``; a config that ours can be tested with, without the quirk."""
    arrays = arrays_of(method)
    config, archive = arrays["config"], ROOT / "tests" / "data" / f"{method}_reference.npz"
    json_file, weights = write_clip(folder, arrays)
    write_data(folder / "data", arrays)
    head = config["head"]
    path = folder / f"{method}_reference.py"
    path.write_text(
        f"""
_base_ = {str(ROOT / "configs" / f"{method}_voc_inductive.py")!r}
custom_imports = dict(imports=["zegclip", "tagclip", "reference_modules"])
archive = {str(archive)!r}
classes = [f"class {{index}}" for index in range({len(arrays["in.tokens"])})]
model = dict(
    data_preprocessor=dict(mean=None, std=None, bgr_to_rgb=False, size=(64, 64)),
    clip=dict(model_name={str(json_file)!r}, weights={str(weights)!r}),
    image_encoder=dict(num_prompts={config["prompts"]["tokens"]}),
    text_encoder=dict(type="ReferenceTextEncoder", archive=archive),
    decode_head=dict(
        num_layers={head["layers"]}, num_heads={head["heads"]}, feedforward_channels={head["ffn"]}
    ),
    test_cfg=dict(_delete_=True, mode="whole"),
)
train_dataloader = val_dataloader = val_evaluator = None
test_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        _delete_=True,
        type="ZeroShotDataset",
        data_root={str(folder / "data")!r},
        data_prefix=dict(img_path="images", seg_map_path="masks"),
        img_suffix=".png",
        metainfo=dict(classes=classes),
        unseen=[classes[index] for index in {arrays["in.unseen"].tolist()}],
        pipeline=[
            dict(type="LoadReferenceImage", archive=archive),
            dict(type="LoadCheckedAnnotations"),
            dict(type="PackZeroShotInputs"),
        ],
    ),
)
custom_hooks = [
    dict(type="VocabularyHook"),
    dict(type="ReportHook"),
    dict(type="SaveProbabilitiesHook", out_dir={str(folder / "probabilities")!r}),
]
train_cfg = val_cfg = optim_wrapper = param_scheduler = None
"""
    )
    return path
