"""Whole runs on a GPU. Without one they are skipped."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.dataset import pseudo_collate

from tests.mini_models import METHODS, build, close, scenes_of
from zegclip.evaluation import ZeroShotIoUMetric

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"),
    pytest.mark.slow,
]
ROOT = Path(__file__).parents[1]
RUNS = ("", "--amp", "--launcher")


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scenes")


def start(method: str, how: str, folder: Path, scenes: Path) -> subprocess.Popen[bytes]:
    """``tools/train.py`` for ten steps, and its validation; goes on from the last checkpoint."""
    options = ["train_cfg.max_iters=10", "train_cfg.val_interval=100"]
    options += ["default_hooks.logger.interval=2", "default_hooks.checkpoint.interval=6"]
    for loader, number in (("train", 40), ("val", 20)):
        options.append(f"{loader}_dataloader.dataset.number={number}")
        options.append(f"{loader}_dataloader.dataset.data_root={scenes}")
    command = [str(ROOT / "tools/train.py"), f"configs/{method}_mini_inductive.py", "--seed=0"]
    command += [f"--work-dir={folder}", "--resume", "--cfg-options", *options]
    if how == "--launcher":
        torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=1"]
        command = [*torchrun, *command[:3], "--launcher=pytorch", *command[3:]]
    elif how:
        command.insert(2, how)
    folder.mkdir(exist_ok=True)
    with (folder / "output.txt").open("ab") as output:
        return subprocess.Popen(
            [sys.executable, *command],
            cwd=ROOT,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stdout=output,
            stderr=output,
        )


@pytest.fixture(scope="module")
def trained(scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for each method and way to train it: the last four of ten steps are resumed."""
    root = tmp_path_factory.mktemp("trained")
    for split, number in (("train", 40), ("test", 20)):  # drawn once
        scenes_of(scenes, split, number)
    for resumes in (False, True):
        for folder in root.iterdir() if resumes else ():
            # As a run leaves it that was killed after its checkpoint of this iteration.
            (folder / "iter_10.pth").unlink()
            (folder / "last_checkpoint").write_text(str(folder / "iter_6.pth"))
        runs = {
            (method, how): start(method, how, root / f"{method}{how}", scenes)
            for method in METHODS
            for how in RUNS
        }
        failed = [key for key, process in runs.items() if process.wait(300)]
        texts = [(root / "".join(key) / "output.txt").read_text()[-2000:] for key in failed]
        assert not failed, "\n".join([str(failed), *texts])
    return root


@pytest.mark.parametrize("how", RUNS)
@pytest.mark.parametrize("method", METHODS)
def test_trains_and_resumes(method: str, how: str, trained: Path, scenes: Path) -> None:
    folder = trained / f"{method}{how}"
    lines = [
        json.loads(line)
        for log in sorted(folder.glob("*/vis_data/scalars.json"))
        for line in log.read_text().splitlines()
    ]
    losses = {line["step"]: line["loss"] for line in lines if "loss" in line}
    assert sorted(losses) == [2, 4, 6, 8, 10]
    assert "resumed epoch: 0, iter: 6" in (folder / "output.txt").read_text()
    assert all(0 < loss < float("inf") for loss in losses.values())
    assert all(line["memory"] > 0 for line in lines if "loss" in line)  # of the GPU
    content = torch.load(folder / "iter_10.pth", weights_only=True)
    assert bool(content["optimizer"].get("loss_scaler")) == (how == "--amp")
    # The CPU gives the same scores.
    model, data = build(method).to("cpu"), scenes_of(scenes, "test", 20)
    model.load_state_dict(content["state_dict"])
    metric = ZeroShotIoUMetric()
    model.dataset_meta = metric.dataset_meta = data.metainfo
    for index in range(len(data)):
        with torch.no_grad():
            samples = model.test_step(pseudo_collate([data[index]]))
        metric.process(None, [sample.to_dict() for sample in samples])
    expected = metric.evaluate(len(data))
    report = json.loads((folder / "report.json").read_text())
    assert {key: report[key] for key in expected} == pytest.approx(expected, abs=1)


def test_activations_are_computed_again() -> None:
    """With the same dropout as at the first time."""
    encoder: Any = build("zegclip").image_encoder.to("cuda").train()
    encoder.prompt_dropout.p = 0.1
    image, gradients = torch.randn(2, 3, 96, 96, device="cuda"), []
    for again in (False, True):
        encoder.checkpoint_activations = again
        torch.manual_seed(0)
        encoder.zero_grad()
        encoder(image)[0].square().sum().backward()
        gradients.append(encoder.prompts.grad.clone())
    encoder.checkpoint_activations = False
    encoder.eval()
    assert close(*gradients, 1e-4)
