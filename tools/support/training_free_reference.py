"""What our modules make of a reference archive of CLIP without training."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from zegclip.clip import LAST_BLOCKS, LoadedClip, TrainingFreeImageEncoder, load_clip
from zegclip.heads import TrainingFreeHead


def random_clip(settings: Mapping[str, Any]) -> LoadedClip:
    """A CLIP of open_clip's settings (``embed_dim``, ``vision_cfg``, ...), with random weights."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(settings, file)
        file.flush()
        return load_clip(file.name, weights="random")


def load_tower(config: Mapping[str, Any], arrays: Mapping[str, Tensor]) -> LoadedClip:
    """A CLIP with the archive's image tower; its text tower is the smallest there can be."""
    settings = {
        "embed_dim": config["dim"],
        "quick_gelu": True,
        "vision_cfg": {
            "image_size": config["image"],
            "patch_size": config["patch"],
            "width": config["width"],
            "layers": config["layers"],
            "head_width": config["width"] // config["heads"],
        },
        "text_cfg": {"context_length": 1, "vocab_size": 1, "width": 1, "heads": 1, "layers": 1},
    }
    clip = random_clip(settings)
    prefix = "state.visual."
    state = {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
    clip.model.visual.load_state_dict(state)
    return clip


@torch.no_grad()
def outputs(
    config: Mapping[str, Any], arrays: Mapping[str, Tensor]
) -> Iterator[tuple[str, Tensor]]:
    """Everything that the archive's ``out.*`` names."""
    clip = load_tower(config, arrays)
    clip.model.to(arrays["in.image"].device)
    head, text = TrainingFreeHead(config["dim"], scale=1.0), arrays["in.text_embeddings"]
    for name in LAST_BLOCKS:
        encoder = TrainingFreeImageEncoder(clip, name, config["naclip_std"])
        for size in ("", "_wide"):
            patches, cls = encoder(arrays[f"in.image{size}"])
            yield f"{name}.patch_embeddings{size}", patches
            yield f"{name}.logits{size}", head(patches, cls, text).mask_logits
