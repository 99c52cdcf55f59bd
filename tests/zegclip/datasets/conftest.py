"""The sample photographs, and mmseg's registries as the default (as every config sets them)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from mmengine.registry import DefaultScope

import zegclip  # noqa: F401  (first: prepares the stack)

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def mmseg_scope() -> Iterator[None]:
    with DefaultScope.overwrite_default_scope("mmseg"):
        yield


@pytest.fixture(scope="session")
def voc_root() -> str:
    """Three photographs of VOC 2012 in the devkit's layout."""
    return str(ROOT / "tests" / "data" / "voc_sample" / "VOCdevkit" / "VOC2012")


@pytest.fixture(scope="session")
def configs() -> Path:
    return ROOT / "configs"
