"""Generated images in VOC's layout, and mmseg's registries as the default (as in every config)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from mmengine.registry import DefaultScope
from mmseg.datasets import PascalVOCDataset
from PIL import Image

LISTS = "ImageSets/Segmentation"
# Labels in the masks' files: 0 background, 255 void.
STRIPES = {
    "2011_000003": [0, 5, 15, 255],  # bottle, person
    "2011_000025": [0, 6, 7, 255],  # bus, car
    "2011_000006": [9, 15, 18, 18, 0, 255],  # chair, person, sofa
}


@pytest.fixture(autouse=True)
def mmseg_scope() -> Iterator[None]:
    with DefaultScope.overwrite_default_scope("mmseg"):
        yield


@pytest.fixture(scope="session")
def voc_root(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Three images with palette masks of stripes: two for training, the last one for val."""
    root = tmp_path_factory.mktemp("voc")
    for folder in ("JPEGImages", "SegmentationClass", "SegmentationClassAug", LISTS):
        (root / folder).mkdir(parents=True)
    palette = np.array(PascalVOCDataset.METAINFO["palette"], np.uint8)
    rng = np.random.default_rng(0)
    for name, labels in STRIPES.items():
        mask = np.repeat(np.array(labels, np.uint8), -(-500 // len(labels)))[:500]
        picture = Image.fromarray(np.tile(mask, (375, 1)), mode="P")
        picture.putpalette(palette.tobytes())
        for folder in ("SegmentationClass", "SegmentationClassAug"):
            picture.save(root / folder / f"{name}.png")
        noise = rng.integers(0, 255, (375, 500, 3), np.uint8)
        Image.fromarray(noise).save(root / "JPEGImages" / f"{name}.jpg")
    names = list(STRIPES)
    for split, members in (("train", names[:1]), ("aug", names[1:2]), ("val", names[2:])):
        (root / LISTS / f"{split}.txt").write_text("\n".join(members) + "\n")
    return str(root)


@pytest.fixture(scope="session")
def configs() -> Path:
    return Path(__file__).resolve().parents[3] / "configs"
