"""A config with nothing to learn: tested without a checkpoint, and not trained."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[2] / "tools"


def test_is_tested_without_a_checkpoint(
    run_tool: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("scenes").mkdir()
    settings = ["dataset.number=3", "dataset.data_root=scenes", "num_workers=0"]
    settings += ["persistent_workers=False"]
    reports = []
    for way in ("naclip", "clearclip"):
        options = [f"test_dataloader.{each}" for each in settings]
        options.append(f"model.image_encoder.last_block={way}")
        run_tool("test.py", "configs/training_free_mini.py", "--cfg-options", *options)
        reports.append(json.loads(Path("work_dirs/training_free_mini/report.json").read_text()))
    protocols = [report.pop("protocol") for report in reports]
    assert [each["last_block"] for each in protocols] == ["naclip", "clearclip"]
    assert protocols[0]["fingerprint"] != protocols[1]["fingerprint"]
    assert protocols[0]["checkpoint"] is None and reports[0] != reports[1]


@pytest.mark.slow
def test_in_two_processes(tmp_path: Path) -> None:
    """torch refuses to wrap a model of which nothing is learned for several."""
    scenes = [f"test_dataloader.{each}" for each in ("dataset.number=3", "num_workers=0")]
    scenes += [f"test_dataloader.dataset.data_root={tmp_path}"]
    config, reports = "configs/training_free_mini.py", []
    for processes in ("1", "2"):
        words = [TOOLS / "dist_test.sh", config, processes, "--work-dir", processes]
        subprocess.run(
            [*words, "--cfg-options", *scenes],
            cwd=tmp_path,
            env=os.environ | {"PYTHON": sys.executable, "CUDA_VISIBLE_DEVICES": ""},
            check=True,
            timeout=300,
        )
        reports.append(json.loads((tmp_path / processes / "report.json").read_text()))
    assert reports[0] == reports[1]


def test_is_not_trained(run_tool: Callable[..., None]) -> None:
    with pytest.raises(SystemExit, match=r"nothing to train.*tools/test\.py configs/training_free"):
        run_tool("train.py", "configs/training_free_mini.py", "--amp")
