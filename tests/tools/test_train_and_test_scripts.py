"""tools/train.py, tools/test.py and their torchrun scripts, with a model of one convolution."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import mmseg
import numpy as np
import pytest
import torch
from PIL import Image

ROOT = Path(__file__).parents[2]
TOY = Path(__file__).parent / "toy"
CONFIG = TOY / "toy_config.py"


@pytest.fixture
def folder(toy_folder: Path) -> Path:
    return toy_folder


def scalars(work_dir: Path) -> list[dict]:
    """All lines of all runs' scalars, in the order of the runs."""
    files = sorted(work_dir.glob("*/vis_data/scalars.json"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def logs(work_dir: Path) -> str:
    return "".join(file.read_text() for file in sorted(work_dir.glob("*/*.log")))


def steps(work_dir: Path) -> list[int]:
    return [line["step"] for line in scalars(work_dir) if "loss_seg" in line]


def stop_at(work_dir: Path, iteration: int) -> None:
    """As a run leaves it that was killed after its checkpoint of this iteration."""
    (work_dir / "iter_4.pth").unlink()
    (work_dir / "last_checkpoint").write_text(str(work_dir.resolve() / f"iter_{iteration}.pth"))


def test_train_resume_and_test(folder: Path, run_tool: Callable[..., None]) -> None:
    run_tool("train.py", CONFIG)
    work_dir = folder / "work_dirs" / "toy_config"  # by default: in the current folder
    assert torch.load(work_dir / "iter_2.pth", weights_only=True)["meta"]["iter"] == 2

    stop_at(work_dir, 2)
    run_tool("train.py", CONFIG, "--resume", "--work-dir", work_dir)
    assert "resumed epoch: 0, iter: 2" in logs(work_dir)
    assert "effective batch is 2 (2 x 1 process(es)" in logs(work_dir)
    assert "chosen for 16" in logs(work_dir) and "this run is finished" not in logs(work_dir)
    assert steps(work_dir) == [1, 2, 3, 4, 3, 4]
    assert "will be deprecated" not in logs(work_dir)  # mmengine's note about its own hook

    checkpoint = work_dir / "iter_4.pth"
    run_tool(
        "test.py", CONFIG, checkpoint,
        "--work-dir", folder / "tested", "--out", folder / "maps", "--show-dir", folder / "shown",
    )  # fmt: skip
    (result,) = [json.loads(file.read_text()) for file in (folder / "tested").glob("*/*.json")]
    validated = [line["mIoU"] for line in scalars(work_dir) if "mIoU" in line]
    assert result["mIoU"] == validated[-1]
    assert sorted(file.name for file in (folder / "maps").iterdir()) == [f"{n}.png" for n in "abcd"]
    assert set(np.unique(np.asarray(Image.open(folder / "maps" / "a.png")))) <= {0, 1}
    assert len(list((folder / "shown").glob("**/*.png"))) == 4


def test_resume_beats_the_checkpoint_to_start_from(
    folder: Path, run_tool: Callable[..., None]
) -> None:
    """Or a resumed transductive run would go on with the inductive run's iterations."""
    run_tool("train.py", CONFIG, "--work-dir", "first")
    assert (folder / "first" / "iter_2.pth").is_file()  # half of the schedule, kept
    config = folder / "second.py"
    config.write_text(f"_base_ = {str(CONFIG)!r}\nload_from = 'first/iter_2.pth'\n")
    work_dir = folder / "work_dirs" / "second"
    run_tool("train.py", config, "--resume")
    assert "Load checkpoint from" in logs(work_dir) and "resumed epoch" not in logs(work_dir)
    stop_at(work_dir, 2)
    run_tool("train.py", config, "--resume")
    assert "resumed epoch: 0, iter: 2" in logs(work_dir)
    assert steps(work_dir) == [1, 2, 3, 4, 3, 4]


def test_an_option_to_start_from_is_not_resumed_either(
    folder: Path, run_tool: Callable[..., None]
) -> None:
    run_tool("train.py", CONFIG, "--work-dir", "first")
    options = ["--work-dir", "w", "--cfg-options", "load_from=first/iter_4.pth"]
    run_tool("train.py", CONFIG, *options)
    stop_at(folder / "w", 2)
    run_tool("train.py", CONFIG, "--resume", *options)
    assert steps(folder / "w") == [1, 2, 3, 4, 3, 4]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["train_cfg.max_iters=8"], r"train_cfg\.max_iters \(4 -> 8\)"),
        (["optim_wrapper.optimizer.lr=1.0"], r"optim_wrapper\.optimizer\.lr \(0\.1 -> 1\.0\)"),
        (["randomness.seed=7"], r"seed \(0 -> 7\)"),
        (["train_dataloader.batch_size=1"], r"train_dataloader\.batch_size \(2 -> 1\)"),
        (["train_cfg.val_interval=2", "train_dataloader.num_workers=1"], None),
    ],
)
def test_a_run_goes_on_with_the_settings_that_it_began_with(
    folder: Path, run_tool: Callable[..., None], options: list[str], named: str | None
) -> None:
    """mmengine would take a longer run's added iterations at the old end's rate, 1e-6."""
    run_tool("train.py", CONFIG, "--work-dir", "w")
    stop_at(folder / "w", 2)
    resume = ["train.py", CONFIG, "--work-dir", "w", "--resume", "--cfg-options", *options]
    if named is None:
        run_tool(*resume)
        assert steps(folder / "w") == [1, 2, 3, 4, 3, 4]
        return
    with pytest.raises(SystemExit, match=rf"began with; {named} would"):
        run_tool(*resume)
    assert steps(folder / "w") == [1, 2, 3, 4]


def test_a_finished_run_and_a_work_dir_that_was_moved(
    folder: Path, run_tool: Callable[..., None]
) -> None:
    run_tool("train.py", CONFIG, "--work-dir", "w")
    (folder / "w").rename("moved")
    run_tool("train.py", CONFIG, "--work-dir", "moved", "--resume")
    assert "this run is finished: it was resumed at iteration 4 of 4" in logs(folder / "moved")
    assert steps(folder / "moved") == [1, 2, 3, 4]
    (folder / "moved" / "iter_4.pth").unlink()
    with pytest.raises(SystemExit, match=r"no checkpoint '.*iter_4\.pth'\. There is moved/iter_2"):
        run_tool("train.py", CONFIG, "--work-dir", "moved", "--resume")


def test_options(folder: Path, run_tool: Callable[..., None]) -> None:
    try:
        run_tool(
            "train.py", CONFIG,
            "--amp", "--auto-scale-lr", "--seed", 3, "--deterministic", "--work-dir", folder / "w",
            "--cfg-options", "train_cfg.max_iters=1",
        )  # fmt: skip
    finally:
        torch.use_deterministic_algorithms(False)
    (first,) = [line for line in scalars(folder / "w") if "loss_seg" in line]
    assert first["lr"] == pytest.approx(0.1 * 2 / 16)
    log = "".join(file.read_text() for file in (folder / "w").glob("*/*.log"))
    assert "type='AmpOptimWrapper'" in log and "seed: 3" in log
    assert "effective batch" not in log


@pytest.mark.slow
def test_two_processes_on_the_cpu(folder: Path) -> None:
    environment = os.environ | {"PYTHON": sys.executable, "PYTHONPATH": f"{TOY}:{ROOT}"}
    environment |= {"CUDA_VISIBLE_DEVICES": ""}
    environment.pop("LOCAL_RANK", None)
    command = [ROOT / "tools" / "dist_train.sh", CONFIG, "2", "--work-dir", "w"]
    options = ["--cfg-options", "train_dataloader.num_workers=1", "train_cfg.max_iters=2"]
    done = subprocess.run(
        [*command, *options, "train_cfg.val_interval=2"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    log = "".join(file.read_text() for file in (folder / "w").glob("*/*.log"))
    assert "GPU number: 2" in log
    assert "(2 x 2 process(es)" in log
    assert torch.load(folder / "w" / "iter_2.pth", weights_only=True)["meta"]["iter"] == 2


@pytest.mark.slow
def test_mmsegs_own_script(folder: Path) -> None:
    script = Path(mmseg.__file__).parent / ".mim" / "tools" / "train.py"
    options = ["--work-dir", "w", "--amp", "--cfg-options", "train_cfg.max_iters=1"]
    done = subprocess.run(
        [sys.executable, "-m", "zegclip", script, CONFIG, *options],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(TOY), str(ROOT)])},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert torch.load(folder / "w" / "iter_1.pth", weights_only=True)["meta"]["iter"] == 1
