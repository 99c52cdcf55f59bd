"""Mini models of all methods: their checkpoints, and exported (which takes half a minute)."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmseg.registry import MODELS
from onnx_export import describe, export_onnx

from zegclip.datasets.mini.scenes import make_scene
from zegclip.engine.load_model import load_model

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def scene() -> np.ndarray:
    """A mini scene, RGB, 96 x 96."""
    return make_scene("val", 0)[0].image


@pytest.fixture(scope="session")
def files_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[str, str]]:
    """From a method's name to its config and checkpoint; TagCLIP's is trained, others started."""

    @functools.cache
    def files(method: str) -> tuple[str, str]:
        config = str(ROOT / "configs" / f"{method}_mini_inductive.py")
        trained = ROOT / "data" / "mini" / "mini_model.pth"
        if method == "tagclip":
            return config, str(trained)
        checkpoint = tmp_path_factory.mktemp(method) / "started.pth"
        torch.manual_seed(0)
        model = MODELS.build({**Config.fromfile(config).model, "_scope_": "mmseg"})
        model.init_weights()
        meta = {"dataset_meta": torch.load(trained, weights_only=True)["meta"]["dataset_meta"]}
        torch.save({"state_dict": model.state_dict(), "meta": meta}, checkpoint)
        return config, str(checkpoint)

    return files


@pytest.fixture(scope="session")
def exported(
    files_of: Callable[[str], tuple[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], SimpleNamespace]:
    """From a method's name to its ``model`` in torch, and the same in a file, ``path``."""

    @functools.cache
    def export(method: str) -> SimpleNamespace:
        cfg, checkpoint = Config.fromfile(files_of(method)[0]), files_of(method)[1]
        model = load_model(cfg, checkpoint, torch.device("cpu"))
        path = tmp_path_factory.mktemp("onnx") / f"{method}.onnx"
        export_onnx(model, path, describe(cfg, model))
        return SimpleNamespace(model=model, path=path)

    return export
