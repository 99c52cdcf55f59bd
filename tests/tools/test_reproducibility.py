"""The same seed gives the same model, bit by bit, in every process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]


def start(folder: Path, method: str, seed: int) -> subprocess.Popen[bytes]:
    """A few iterations on the mini benchmark."""
    options = ["train_cfg.max_iters=3", "train_dataloader.num_workers=2"]
    options += ["val_dataloader.dataset.number=2", "train_dataloader.dataset.number=40"]
    options += [f"{mode}_dataloader.dataset.data_root={folder}/scenes" for mode in ("train", "val")]
    script, config = ROOT / "tools" / "train.py", f"configs/{method}_mini_inductive.py"
    command = [sys.executable, script, config, f"--seed={seed}", "--deterministic"]
    return subprocess.Popen(
        [*command, f"--work-dir={folder}", "--cfg-options", *options],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "seeds"), [("tagclip", (5, 5, 6)), ("ldvc", (5, 5))], ids=["tagclip", "ldvc"]
)
def test_deterministic_runs_are_equal(method: str, seeds: tuple[int, ...], tmp_path: Path) -> None:
    folders = [tmp_path / str(number) for number in range(len(seeds))]
    runs = [start(folder, method, seed) for folder, seed in zip(folders, seeds)]
    assert [run.wait(300) for run in runs] == [0] * len(runs)
    one, again, *other = (
        torch.load(folder / "iter_3.pth", weights_only=True)["state_dict"] for folder in folders
    )
    assert one.keys() == again.keys()
    assert all(torch.equal(one[key], again[key]) for key in one)
    assert all(any(not torch.equal(one[key], each[key]) for key in one) for each in other)
    first, second = (json.loads((folder / "report.json").read_text()) for folder in folders[:2])
    assert first["per_class"] == second["per_class"]
    assert first["protocol"]["seed"] == 5 and first["protocol"]["deterministic"] is True
    assert first["protocol"]["fingerprint"] == second["protocol"]["fingerprint"]
