"""What all tests share: offline, one thread, the tiny CLIP they build, generated data sets."""

from __future__ import annotations

import gc
import json
import os
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

# Before torch and huggingface_hub are imported: both read these once.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["ZEGCLIP_CACHE"] = tempfile.mkdtemp(prefix="zegclip_cache_")
for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"
os.environ["no_proxy"] = "*"  # local servers are asked directly, whatever HTTP proxy is set

import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope
from PIL import Image
from safetensors.torch import save_file

import zegclip  # noqa: F401  (prepares the stack before a test imports mmseg or torchvision)

torch.set_num_threads(1)
SIZE = (80, 112)  # height, width


def pytest_collection_finish() -> None:
    """mmengine collects garbage for every data set that is built: not all of torch each time."""
    gc.freeze()


@pytest.fixture(autouse=True)
def no_default_scope() -> Iterator[None]:
    """A Runner leaves mmengine's registry scope behind; the next test starts without one."""
    yield
    DefaultScope._instance_dict.clear()


@pytest.fixture(scope="session")
def tiny_clip_config() -> Path:
    """The path of a small open_clip configuration: see tests/data/tiny_vit.json."""
    return Path(__file__).parent / "data" / "tiny_vit.json"


class OpenaiClip:
    """A small tower in the place of OpenAI's ViT-B/16, behind the calls that would download it.

    Attributes:
        reachable: whether there is a network.
        hub_is_down: whether the Hugging Face Hub alone cannot be reached.
        downloads: how often the file was downloaded.
    """

    reachable, hub_is_down, downloads = True, False, 0

    def __init__(self, config: dict[str, Any], folder: Path) -> None:
        self.config, self.folder = config, folder

    def save(self, file: Path) -> Path:
        import open_clip  # (not before zegclip)

        torch.manual_seed(1)
        save_file(open_clip.CLIP(**self.config).state_dict(), file)
        return file

    def download_pretrained(
        self, entry: dict[str, Any], prefer_hf_hub: bool = True, cache_dir: str | None = None
    ) -> str:
        if not self.reachable:
            raise OSError("no network")
        self.downloads += 1
        return str(self.save(Path(cache_dir or self.folder) / "downloaded.safetensors"))

    def get_hf_file_metadata(self, url: str) -> SimpleNamespace:
        if not self.reachable or self.hub_is_down:
            raise OSError("no network")
        return SimpleNamespace(size=351_000_000)

    @contextmanager
    def urlopen(self, request: urllib.request.Request, timeout: float) -> Iterator[SimpleNamespace]:
        if not self.reachable:
            raise OSError("no network")
        yield SimpleNamespace(headers={"Content-Length": "335000000"})


@pytest.fixture
def openai_clip(
    tmp_path: Path, tiny_clip_config: Path, monkeypatch: pytest.MonkeyPatch
) -> OpenaiClip:
    """What stands in for OpenAI's weights; the working directory is an empty folder."""
    config = json.loads(tiny_clip_config.read_text()) | {"quick_gelu": True}
    config["vision_cfg"] |= {"patch_size": 16, "image_size": 64}
    clip = OpenaiClip(config, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("open_clip.get_model_config", lambda name: config)
    monkeypatch.setattr("open_clip.download_pretrained", clip.download_pretrained)
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda repository, name: None)
    monkeypatch.setattr("urllib.request.urlopen", clip.urlopen)
    monkeypatch.setattr("huggingface_hub.get_hf_file_metadata", clip.get_hf_file_metadata)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    return clip


def write_pair(root: Path, image: str, mask: str, labels: list[int], void: int = 255) -> None:
    """A picture and a mask of stripes, narrow enough for all labels in a crop, with void above."""
    generator = np.random.default_rng(len(image) + sum(labels))
    picture = generator.integers(0, 255, (*SIZE, 3), dtype=np.uint8)
    stripes = np.repeat(labels * 3, -(-SIZE[1] // (3 * len(labels))))[: SIZE[1]]
    label_map = np.tile(stripes.astype(np.uint8), (SIZE[0], 1))
    label_map[:2] = void
    for path, array in ((root / image, picture), (root / mask, label_map)):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(array).save(path)


def write_list(path: Path, names: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{name}\n" for name in names))


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``data/`` holds once everything is prepared: the folder is the working directory's."""
    root = tmp_path_factory.mktemp("generated") / "data"
    voc = root / "VOCdevkit" / "VOC2012"
    for name, folder in (
        ("2007_000032", "SegmentationClass"),
        ("2008_000002", "SegmentationClassAug"),
        ("2007_000033", "SegmentationClass"),
    ):
        # background, aeroplane and person (seen); sheep and train (unseen)
        write_pair(voc, f"JPEGImages/{name}.jpg", f"{folder}/{name}.png", [0, 1, 15, 17, 19])
    (voc / "SegmentationClassAug").mkdir(exist_ok=True)
    lists = voc / "ImageSets" / "Segmentation"
    for split, name in (("train", "2007_000032"), ("aug", "2008_000002"), ("val", "2007_000033")):
        write_list(lists / f"{split}.txt", [name])

    context = root / "VOCdevkit" / "VOC2010"
    for split, name in (("train", "2008_000003"), ("val", "2008_000015")):
        mask = f"SegmentationClassContext/{name}.png"
        # background, bag and bed (seen); aeroplane and cat (unseen)
        write_pair(context, f"JPEGImages/{name}.jpg", mask, [0, 2, 3, 1, 15])
        write_list(context / "ImageSets" / "SegmentationContext" / f"{split}.txt", [name])

    coco = root / "coco_stuff164k"
    for split in ("train2017", "val2017"):
        mask = f"annotations/{split}/000000000009_labelTrainIds.png"
        # person, bicycle, banner (seen); cow and cardboard (unseen)
        labels = [0, 1, 80, 19, 88]
        write_pair(coco, f"images/{split}/000000000009.jpg", mask, labels)

    ade = root / "ade" / "ADEChallengeData2016"
    for split, name in (("training", "ADE_train_00000001"), ("validation", "ADE_val_00000001")):
        mask = f"annotations/{split}/{name}.png"
        write_pair(ade, f"images/{split}/{name}.jpg", mask, [0, 1, 2, 150], void=0)
    return root


@pytest.fixture(scope="session")
def voc(data: Path) -> Path:
    """VOC 2012's devkit with three generated images."""
    return data / "VOCdevkit" / "VOC2012"


@pytest.fixture(scope="session")
def voc_photos() -> Path:
    """VOC 2012's devkit with six real photographs, which are not part of the repository."""
    path = Path(__file__).parents[2] / "shared" / "voc_sample" / "VOCdevkit" / "VOC2012"
    if not path.is_dir():
        pytest.skip(f"needs real photographs in VOC's layout at {path}")
    return path
