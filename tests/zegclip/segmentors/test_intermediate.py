"""Attention and regions at the image's size, whole and by windows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

import ldvc  # noqa: F401
from zegclip.errors import InputError
from zegclip.heads import RegionRoutes, upsample
from zegclip.segmentors import ZeroShotSegmentor
from zegclip.vocabulary import Vocabulary

CLASSES = ("cat", "dog", "bus")
WHOLE: dict[str, Any] = {"mode": "whole"}


def build(tower: Path, head: str, **test_cfg: Any) -> ZeroShotSegmentor:
    torch.manual_seed(0)
    small = {"num_regions": 2, "topk": 1, "num_heads": 4} if head == "ConsensusHead" else {}
    model = MODELS.build(
        {
            "type": "ZeroShotSegmentor",
            "clip": {"model_name": str(tower), "weights": "random:0"},
            "image_encoder": {"type": "PromptedImageEncoder", "num_prompts": 2},
            "text_encoder": {"type": "TextEncoder"},
            "decode_head": {"type": head, "feedforward_channels": 16, **small},
            "data_preprocessor": {"type": "mmseg.SegDataPreProcessor"},
            "test_cfg": test_cfg or WHOLE,
        }
    )
    model.init_weights()
    model.set_vocabulary(Vocabulary(CLASSES, unseen=("dog",)))
    return model.eval()


def data(size: tuple[int, int], original: tuple[int, int] | None = None) -> dict[str, Any]:
    sample = SegDataSample()
    sample.set_metainfo({"ori_shape": original or size, "img_shape": size})
    image = torch.rand(3, *size, generator=torch.Generator().manual_seed(1)) * 255
    return {"inputs": [image], "data_samples": [sample]}


class FixedRoutes:
    """A head's regions, 2 x 2 over whatever grid: each attends to the next one."""

    def __init__(self) -> None:
        self.grids: list[tuple[int, int]] = []

    def __call__(self, patches: torch.Tensor, *_: torch.Tensor) -> RegionRoutes:
        height, width = patches.shape[-2:]
        self.grids.append((height, width))
        rows, columns = (0, height // 2, height), (0, width // 2, width)
        boxes = [
            (rows[r], columns[c], rows[r + 1], columns[c + 1]) for r in range(2) for c in range(2)
        ]
        return RegionRoutes(torch.tensor([[[1, -1], [2, -1], [3, 0], [0, -1]]]), boxes, (2, 2))


class TestAttention:
    def test_it_is_the_heads_at_the_images_size(self, tiny_clip_config: Path) -> None:
        model, batch = build(tiny_clip_config, "ATMHead"), data((32, 32), original=(64, 48))
        (maps,) = model.attention_maps(batch)
        assert maps.shape == (3, 64, 48)
        with torch.no_grad():
            inputs = model.data_preprocessor(batch, False)["inputs"]
            output = model._forward(inputs)
            expected = upsample(model.decode_head.attention_maps(output), (32, 32))
        expected = torch.nn.functional.interpolate(expected, (64, 48), mode="bilinear")[0]
        torch.testing.assert_close(maps, expected)

    def test_windows_are_averaged(self, tiny_clip_config: Path) -> None:
        slide = {"mode": "slide", "crop_size": (32, 32), "stride": (16, 16)}
        model, batch = build(tiny_clip_config, "ATMHead", **slide), data((32, 48))
        (maps,) = model.attention_maps(batch)
        model.test_cfg["mode"] = "whole"
        image = batch["inputs"][0]
        sample = batch["data_samples"]
        sample[0].set_metainfo({"ori_shape": (32, 32), "img_shape": (32, 32)})
        parts = [
            model.attention_maps({"inputs": [image[..., x : x + 32]], "data_samples": sample})[0]
            for x in (0, 16)
        ]
        torch.testing.assert_close(maps[..., :16], parts[0][..., :16])
        torch.testing.assert_close(maps[..., 32:], parts[1][..., 16:])
        between = (parts[0][..., 16:] + parts[1][..., :16]) / 2
        torch.testing.assert_close(maps[..., 16:32], between)


class TestRegions:
    def test_rectangles_are_in_the_images_own_pixels(
        self, tiny_clip_config: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        model = build(tiny_clip_config, "ConsensusHead")
        monkeypatch.setattr(model.decode_head, "region_routes", FixedRoutes())
        shown = model.region_at(data((32, 32), original=(64, 96)), (10.0, 50.0))
        assert shown.region == 2 and shown.routes == [3, 0]
        assert shown.rectangles == [
            (0, 0, 48, 32),
            (48, 0, 96, 32),
            (0, 32, 48, 64),
            (48, 32, 96, 64),
        ]
        assert shown.regions_a_side == (2, 2)

    def test_what_is_padded_to_whole_patches_is_cut_off(
        self, tiny_clip_config: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        model, routes = build(tiny_clip_config, "ConsensusHead"), FixedRoutes()
        monkeypatch.setattr(model.decode_head, "region_routes", routes)
        patch = model.image_encoder.patch_size
        side = 2 * patch - 3
        shown = model.region_at(data((side, side)), (side - 1.0, side - 1.0))
        assert routes.grids == [(2, 2)] and shown.region == 3 and shown.routes == [0]
        assert shown.rectangles[3] == (patch, patch, side, side)

    def test_of_several_windows_the_one_around_the_point(
        self, tiny_clip_config: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        slide = {"mode": "slide", "crop_size": (32, 32), "stride": (32, 32)}
        model = build(tiny_clip_config, "ConsensusHead", **slide)
        monkeypatch.setattr(model.decode_head, "region_routes", FixedRoutes())
        shown = model.region_at(data((32, 96)), (90.0, 5.0))
        assert shown.region == 1
        assert shown.rectangles[0] == (64, 0, 80, 16)

    def test_routes_of_ldvc(self, tiny_clip_config: Path) -> None:
        shown = build(tiny_clip_config, "ConsensusHead").region_at(data((32, 32)), (1.0, 1.0))
        assert shown.region == 0 and len(shown.routes) == 1 and 0 <= shown.routes[0] < 4

    def test_a_method_without_regions_says_so(self, tiny_clip_config: Path) -> None:
        with pytest.raises(InputError, match="ATMHead has no attention among regions"):
            build(tiny_clip_config, "ATMHead").region_at(data((32, 32)), (1.0, 1.0))
