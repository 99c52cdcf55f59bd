"""Attention at the image's size, whole and by windows."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F

from tests.zegclip.segmentors.test_zero_shot_segmentor import build
from tests.zegclip.visualization.fakes import batch
from zegclip.heads import upsample
from zegclip.visualization import attention_maps

PREPROCESSOR = {"type": "mmseg.SegDataPreProcessor"}


def test_they_are_the_heads_at_the_images_size(tiny_clip_config: Path) -> None:
    model, data = build(tiny_clip_config, data_preprocessor=PREPROCESSOR), batch((32, 32), (64, 48))
    maps = attention_maps(model, data)
    assert maps.shape == (3, 64, 48)
    with torch.no_grad():
        output = model._forward(model.data_preprocessor(data, False)["inputs"])
        expected = upsample(model.decode_head.attention(output), (32, 32))
    torch.testing.assert_close(maps, F.interpolate(expected, (64, 48), mode="bilinear")[0])


def test_windows_are_averaged(tiny_clip_config: Path) -> None:
    slide = {"mode": "slide", "crop_size": (32, 32), "stride": (16, 16)}
    model = build(tiny_clip_config, data_preprocessor=PREPROCESSOR, test_cfg=slide)
    data = batch((32, 48))
    maps = attention_maps(model, data)
    image, samples = data["inputs"][0], batch((32, 32))["data_samples"]
    left, right = (
        attention_maps(model, {"inputs": [image[..., x : x + 32]], "data_samples": samples})
        for x in (0, 16)
    )
    torch.testing.assert_close(maps[..., :16], left[..., :16])
    torch.testing.assert_close(maps[..., 16:32], (left[..., 16:] + right[..., :16]) / 2)
    torch.testing.assert_close(maps[..., 32:], right[..., 16:])
