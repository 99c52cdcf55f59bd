"""Settings of all tests: offline, one thread, and the path of the tiny CLIP they build."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

# Before torch and huggingface_hub are imported: both read these once.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["ZEGCLIP_CACHE"] = tempfile.mkdtemp(prefix="zegclip_cache_")
for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import pytest
import torch
from mmengine.registry import DefaultScope

import zegclip  # noqa: F401  (prepares the stack before a test imports mmseg or torchvision)

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def no_default_scope() -> Iterator[None]:
    """A Runner leaves mmengine's registry scope behind; the next test starts without one."""
    yield
    DefaultScope._instance_dict.clear()


@pytest.fixture(scope="session")
def tiny_clip_config() -> Path:
    """The path of a small open_clip configuration: see tests/data/tiny_vit.json."""
    return Path(__file__).parent / "data" / "tiny_vit.json"
