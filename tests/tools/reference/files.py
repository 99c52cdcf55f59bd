"""A reference archive as files: CLIP weights, a published checkpoint, a data set, a config."""

from __future__ import annotations

import json
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from check_reference import clip_config, published_name
from PIL import Image

ROOT = Path(__file__).parents[3]


def archive_of(method: str) -> Path:
    """The committed archive of a method."""
    return ROOT / "tests" / "data" / f"{method}_reference.npz"


def arrays_of(method: str) -> dict[str, Any]:
    """The archive's arrays, ``config`` as a dict."""
    with np.load(archive_of(method)) as archive:
        content = {key: archive[key] for key in archive.files}
    return content | {"config": json.loads(str(content["config"]))}


def published_state(arrays: dict[str, Any]) -> OrderedDict[str, torch.Tensor]:
    """The parameters as the published code's state dict has them."""
    return OrderedDict(
        (published_name(key.removeprefix("state.")), torch.from_numpy(value))
        for key, value in arrays.items()
        if key.startswith("state.")
    )


def write_published(path: Path, arrays: dict[str, Any]) -> None:
    """A checkpoint as mmcv 1.x writes it, with what it keeps beside the parameters."""
    meta = {
        "mmcv_version": "1.4.4",
        "CLASSES": [f"class {index}" for index in range(6)],
        "PALETTE": np.zeros((6, 3), int).tolist(),
        "iter": 20000,
        "hook_msgs": {"last_ckpt": "iter_20000.pth"},
    }
    optimizer = {"state": {0: {"step": 7}}, "param_groups": [{"lr": 1e-4, "params": [0]}]}
    content = {"meta": meta, "state_dict": published_state(arrays), "optimizer": optimizer}
    torch.save(content, path)


def write_clip(folder: Path, arrays: dict[str, Any]) -> tuple[Path, Path]:
    """The archive's CLIP as an open_clip config and a state dict."""
    tower = clip_config(arrays["config"])
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


def write_config(folder: Path, method: str) -> Path:
    """All of it in ``folder``; a config that our model can be tested with.

    Pictures are empty files, in whose place the archive's images are read.
    """
    arrays = arrays_of(method)
    config, archive, head = arrays["config"], str(archive_of(method)), arrays["config"]["head"]
    json_file, weights = write_clip(folder, arrays)
    for name in ("images", "masks"):
        (folder / "data" / name).mkdir(parents=True)
    for index, labels in enumerate(arrays["in.gt"]):
        (folder / "data" / "images" / f"{index}.png").touch()
        mask = Image.fromarray(labels.astype(np.uint8))
        mask.save(folder / "data" / "masks" / f"{index}.png")
    path = folder / f"{method}_reference.py"
    path.write_text(
        f"""
_base_ = {str(ROOT / "configs" / f"{method}_voc_inductive.py")!r}
custom_imports = dict(imports=["zegclip", "tagclip", "reference_modules"])
archive = {archive!r}
classes = [f"class {{index}}" for index in range({len(arrays["in.tokens"])})]
model = dict(
    data_preprocessor=dict(mean=None, std=None, bgr_to_rgb=False, size=(64, 64)),
    clip=dict(model_name={str(json_file)!r}, weights={str(weights)!r}),
    image_encoder=dict(num_prompts={config["prompts"]["tokens"]}),
    text_encoder=dict(type="ReferenceTextEncoder", archive=archive),
    decode_head=dict(
        decoder=dict(
            num_layers={head["layers"]},
            num_heads={head["heads"]},
            feedforward_channels={head["ffn"]},
        )
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
custom_hooks = [dict(type="SaveProbabilitiesHook", out_dir={str(folder / "probabilities")!r})]
train_cfg = val_cfg = optim_wrapper = param_scheduler = None
"""
    )
    return path
