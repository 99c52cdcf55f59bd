"""A test set whose masks are not there: label maps are written, and numbers left out."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import mmseg
import numpy as np
import pytest
from PIL import Image

from zegclip.datasets import read_mask
from zegclip.datasets.mini.scenes import make_scene

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "data" / "mini" / "mini_model.pth"


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The mini model on a folder with one image."""
    (tmp_path / "images").mkdir()
    Image.fromarray(make_scene("test", 0)[0].image).save(tmp_path / "images" / "a.png")
    path = tmp_path / "mine.py"
    path.write_text(
        f"_base_ = '{ROOT}/configs/tagclip_mini_inductive.py'\n"
        "steps = 'LoadImageFromFile', 'LoadCheckedAnnotations', 'PackZeroShotInputs'\n"
        "test_dataloader = dict(num_workers=0, persistent_workers=False,\n"
        "    dataset=dict(_delete_=True, type='ZeroShotDataset', img_suffix='.png',\n"
        "    data_root='.', data_prefix=dict(img_path='images'),\n"
        "    pipeline=[dict(type=step) for step in steps],\n"
        "    metainfo=dict(classes=['pottedplant', 'bottle']), setting='cross_dataset'))\n"
    )
    monkeypatch.chdir(tmp_path)
    return path


@pytest.mark.parametrize(
    "options", [[], ["--tta"], ["--cfg-options", "test_evaluator.format_only=1"]]
)
def test_our_script(config: Path, run_tool: Callable[..., None], options: list[str]) -> None:
    run_tool("test.py", config, MODEL, "--out", "maps", "--show-dir", "shown", *options)
    assert np.unique(read_mask("maps/a.png")).tolist() == [0, 1]
    assert not list(Path("work_dirs").rglob("report.json"))


def test_without_out_there_is_nothing_to_do(config: Path, run_tool: Callable[..., None]) -> None:
    with pytest.raises(SystemExit, match="1 of 1 images are not scored: they have no masks"):
        run_tool("test.py", config, MODEL)


def test_training_and_browsing_need_masks(config: Path, run_tool: Callable[..., None]) -> None:
    config.write_text(config.read_text() + "train_dataloader = val_dataloader = test_dataloader\n")
    with pytest.raises(SystemExit, match=r"train_dataloader\.dataset\.data_prefix\.seg_map_path"):
        run_tool("train.py", config)
    with pytest.raises(SystemExit, match="has no masks"):
        run_tool("browse_dataset.py", config, "--split", "test")


@pytest.mark.slow
def test_mmsegs_own_script(config: Path) -> None:
    script = Path(mmseg.__file__).parent / ".mim" / "tools" / "test.py"
    command = [sys.executable, "-m", "zegclip", script, config, MODEL, "--out", "maps"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert np.unique(read_mask("maps/a.png")).tolist() == [0, 1]
