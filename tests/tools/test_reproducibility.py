"""The same seed gives the same model, bit by bit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]


def train(folder: Path, method: str, seed: int) -> tuple[dict[str, torch.Tensor], dict]:
    """A few iterations on the mini benchmark: what was learned, and the report."""
    options = ["train_cfg.max_iters=3", "train_dataloader.num_workers=2"]
    options += ["val_dataloader.dataset.number=2", "train_dataloader.dataset.number=40"]
    scenes = folder.parent / "scenes"
    options += [f"{mode}_dataloader.dataset.data_root={scenes}" for mode in ("train", "val")]
    done = subprocess.run(
        [
            sys.executable,
            str(ROOT / "tools" / "train.py"),
            f"configs/{method}_mini_inductive.py",
            f"--seed={seed}",
            "--deterministic",
            f"--work-dir={folder}",
            "--cfg-options",
            *options,
        ],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    state = torch.load(folder / "iter_3.pth", weights_only=True)["state_dict"]
    return state, json.loads((folder / "report.json").read_text())


@pytest.mark.slow
@pytest.mark.parametrize("method", ["tagclip", "ldvc"])
def test_deterministic_runs_are_equal(method: str, tmp_path: Path) -> None:
    one, report = train(tmp_path / "one", method, seed=5)
    again, report_again = train(tmp_path / "again", method, seed=5)
    assert one.keys() == again.keys()
    assert all(torch.equal(one[key], again[key]) for key in one)
    assert report["per_class"] == report_again["per_class"]
    assert report["protocol"]["seed"] == 5 and report["protocol"]["deterministic"] is True
    assert report["protocol"]["fingerprint"] == report_again["protocol"]["fingerprint"]

    other, _ = train(tmp_path / "other", method, seed=6)
    assert any(not torch.equal(one[key], other[key]) for key in one)
