"""Exported models, which take seconds to make and are shared."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmseg.registry import MODELS

from zegclip.engine.load_model import load_model
from zegclip.export import ModelDescription, describe, export_onnx
from zegclip.segmentors import ZeroShotSegmentor

ROOT = Path(__file__).parents[2]
TAGCLIP_MINI = ROOT / "data" / "mini" / "mini_model.pth"


@dataclass
class Exported:
    """A model in torch, and the same one in a file."""

    model: ZeroShotSegmentor
    description: ModelDescription
    path: Path
    config: Path
    checkpoint: Path


def started(config: Path, checkpoint: Path) -> None:
    """Write the checkpoint of a model that was started, not trained."""
    torch.manual_seed(0)
    model = MODELS.build({**Config.fromfile(config).model, "_scope_": "mmseg"})
    model.init_weights()
    torch.save({"state_dict": model.state_dict()}, checkpoint)


@pytest.fixture(scope="session")
def export_method(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Exported]:
    """A function from a method's name to its mini model, exported once."""

    @functools.cache
    def export(method: str) -> Exported:
        folder = tmp_path_factory.mktemp(method)
        config = ROOT / "configs" / f"{method}_mini_inductive.py"
        checkpoint = TAGCLIP_MINI
        if method != "tagclip":
            checkpoint = folder / "started.pth"
            started(config, checkpoint)
        cfg = Config.fromfile(config)
        model = load_model(cfg, str(checkpoint), torch.device("cpu"))
        description = describe(cfg, model)
        path = folder / "model.onnx"
        export_onnx(model, path, description)
        return Exported(model, description, path, config, checkpoint)

    return export
