"""Small models of each method, and an image for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from zegclip.segmentors import ZeroShotSegmentor
from zegclip.vocabulary import Vocabulary


def build(clip: Path, head: dict[str, Any], **test_cfg: Any) -> ZeroShotSegmentor:
    torch.manual_seed(0)
    model = MODELS.build(
        {
            "type": "ZeroShotSegmentor",
            "clip": {"model_name": str(clip), "weights": "random:0"},
            "image_encoder": {"type": "PromptedImageEncoder", "num_prompts": 2},
            "text_encoder": {"type": "TextEncoder"},
            "decode_head": head,
            "data_preprocessor": {"type": "mmseg.SegDataPreProcessor"},
            "test_cfg": test_cfg or {"mode": "whole"},
        }
    )
    model.init_weights()
    model.set_vocabulary(Vocabulary(("cat", "dog", "sofa"), unseen=("sofa",)))
    return model.eval()


def data(size: tuple[int, int], original: tuple[int, int] | None = None) -> dict[str, Any]:
    """A batch of one image, which is of another size on disk."""
    sample = SegDataSample()
    sample.set_metainfo({"ori_shape": original or size, "img_shape": size})
    image = torch.rand(3, *size, generator=torch.Generator().manual_seed(1)) * 255
    return {"inputs": [image], "data_samples": [sample]}
