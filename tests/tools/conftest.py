"""Running a tool without starting a process."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from mmengine.logging import MessageHub, MMLogger
from mmseg.visualization import SegLocalVisualizer
from PIL import Image

TOOLS = Path(__file__).parents[2] / "tools"


@pytest.fixture
def run_tool(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Runs a script of tools/ in this process, as ``python tools/SCRIPT ARGS`` would."""

    def run(script: str, *args: object) -> None:
        path = TOOLS / script
        monkeypatch.setattr(sys, "argv", [str(path), *map(str, args)])
        monkeypatch.setattr(sys, "path", [str(path.parent), *sys.path])
        monkeypatch.delenv("LOCAL_RANK", raising=False)
        for kept in (
            SegLocalVisualizer,
            MMLogger,
            MessageHub,
        ):  # by mmengine, while a process lives
            kept._instance_dict.clear()
        runpy.run_path(str(path), run_name="__main__")

    return run


@pytest.fixture
def toy_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with four images, dark on the left and bright on the right."""
    generator = np.random.default_rng(0)
    data = tmp_path / "toy_data"
    for name in ("images", "masks"):
        (data / name).mkdir(parents=True)
    mask = np.zeros((8, 8), np.uint8)
    mask[:, 4:] = 1
    names = ["a", "b", "c", "d"]
    for name in names:
        image = np.where(mask[..., None] == 1, 190, 20) + generator.integers(0, 60, (8, 8, 3))
        Image.fromarray(image.astype(np.uint8)).save(data / "images" / f"{name}.jpg")
        Image.fromarray(mask).save(data / "masks" / f"{name}.png")
    (data / "all.txt").write_text("\n".join(names))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "toy"))
    return tmp_path
