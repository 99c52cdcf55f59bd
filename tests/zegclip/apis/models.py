"""Mini models of all methods: their files, and exported (which takes a while, so once a run)."""

from __future__ import annotations

import contextlib
import functools
import io
import tempfile
from pathlib import Path
from typing import NamedTuple

import export_onnx
import torch
from mmengine.config import Config
from mmseg.registry import MODELS

from zegclip.datasets.mini.scenes import make_scene
from zegclip.engine.load_model import load_model
from zegclip.segmentors import ZeroShotSegmentor

ROOT = Path(__file__).parents[3]
METHODS = ("zegclip", "tagclip", "ldvc")  # the trained ones
SCENE = make_scene("test", 0)[0].image  # 96 x 96, RGB
WORDS = "cat, a red bus, bottle, aeroplane"
FOLDER = tempfile.TemporaryDirectory()  # removed at the end


@functools.cache
def files_of(method: str) -> tuple[str, str | None]:
    """Config and checkpoint of a method; TagCLIP's is trained, others are as they start."""
    if method == "training_free":
        return str(ROOT / "configs" / "training_free_mini.py"), None
    config = str(ROOT / "configs" / f"{method}_mini_inductive.py")
    trained = ROOT / "data" / "mini" / "mini_model.pth"
    if method == "tagclip":
        return config, str(trained)
    checkpoint = Path(FOLDER.name) / method / "started.pth"
    checkpoint.parent.mkdir()
    torch.manual_seed(0)
    model = MODELS.build({**Config.fromfile(config).model, "_scope_": "mmseg"})
    model.init_weights()
    meta = {"dataset_meta": torch.load(trained, weights_only=True)["meta"]["dataset_meta"]}
    torch.save({"state_dict": model.state_dict(), "meta": meta}, checkpoint)
    return config, str(checkpoint)


class Exported(NamedTuple):
    model: ZeroShotSegmentor  # in torch
    path: Path  # the same in a file, words.npz beside it
    printed: str


@functools.cache
def exported(method: str) -> Exported:
    """What tools/export_onnx.py makes of a method, having compared it with torch."""
    config, checkpoint = files_of(method)
    path = Path(FOLDER.name) / "onnx" / method / f"{method}.onnx"
    options = ["--out", str(path), "--program", str(path.with_suffix(".pt2")), "--check"]
    options += ["--words", WORDS]
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        export_onnx.main([config, *([checkpoint] if checkpoint else []), *options])
    model = load_model(Config.fromfile(config), checkpoint, torch.device("cpu"))
    return Exported(model, path, printed.getvalue())
