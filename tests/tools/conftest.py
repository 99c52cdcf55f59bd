"""Running a tool without starting a process."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from mmengine.logging import MessageHub, MMLogger
from mmseg.visualization import SegLocalVisualizer

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
