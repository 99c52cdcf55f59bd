"""A training that is stopped at any moment, and resumed, is the one that was never stopped."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

ROOT = Path(__file__).parents[2]
TOY = Path(__file__).parent / "toy" / "toy_config.py"
# Where to kill: after a line of the log that holds this, and up to so much later, as a share of the
# time that the whole run takes, so that on a fast machine too it has not ended before.
PHASES = {
    "start": ("", 0.3),
    "data": ("Checkpoints will be saved", 0.02),
    "step": ("Iter(train)", 0.03),
    "save": ("Saving checkpoint", 0.01),
    "validation": ("Iter(val) [1/", 0.02),
}
RUN = [
    "train_cfg.max_iters=12", "train_cfg.val_interval=4", "train_dataloader.batch_size=2",
    "default_hooks.checkpoint.interval=2", "default_hooks.logger.interval=1",
    "train_dataloader.dataset.number=10", "val_dataloader.dataset.number=2",
    "val_dataloader.num_workers=0",
    "model.image_encoder.prompt_dropout=0.1", "model.decode_head.decoder.dropout=0.1",
]  # fmt: skip


def train(work_dir: Path, scenes: Path, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "tools/train.py", "configs/zegclip_mini_inductive.py"]
    command += [*options, "--deterministic", f"--work-dir={work_dir}", "--cfg-options", *RUN]
    command += [f"{mode}_dataloader.dataset.data_root={scenes}" for mode in ("train", "val")]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def killed(run: subprocess.Popen[str], line: str, seconds: float, how: signal.Signals) -> bool:
    """Kill a run; whether it did not end before."""
    assert run.stdout is not None
    if line and not any(line in each for each in run.stdout):
        return run.wait() < 0
    time.sleep(seconds)
    run.send_signal(how)
    run.stdout.close()
    return run.wait() == -how


def state(work_dir: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a finished run has learned, and its report."""
    report = json.loads((work_dir / "report.json").read_text())
    report["protocol"].pop("checkpoint")  # that it was resumed from
    report["protocol"].pop("code")  # a commit may be made meanwhile
    return torch.load(work_dir / "iter_12.pth", weights_only=True), report


def equal(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(v, other[k]) for k, v in one.items())
    return one == other


@pytest.mark.slow
def test_killed_in_every_phase(tmp_path: Path) -> None:
    """Each phase twice, by SIGKILL and by SIGTERM, and once a checkpoint is cut short."""
    through, stopped, scenes = tmp_path / "through", tmp_path / "stopped", tmp_path / "scenes"
    started = time.monotonic()
    output, _ = train(through, scenes, "--seed=3").communicate(timeout=600)
    whole = time.monotonic() - started
    assert (through / "iter_12.pth").is_file(), output

    # The first two before there is anything to go on from; the seed is then the checkpoint's.
    chance = random.Random(0)
    kills = [(phase, how) for how in (signal.SIGKILL, signal.SIGTERM) for phase in PHASES]
    for phase, how in kills:
        line, share = PHASES[phase]
        run = train(stopped, scenes, "--seed=3", "--resume")
        assert killed(run, line, chance.uniform(0, share * whole), how), phase
    last = max(stopped.glob("iter_*.pth"), key=lambda file: int(file.stem[5:]))
    last.write_bytes(last.read_bytes()[:5000])
    run = train(stopped, scenes, "--resume")
    assert killed(run, f"{last} cannot be read as a checkpoint", 0, signal.SIGKILL)

    output, _ = train(stopped, scenes, "--resume").communicate(timeout=600)
    (expected, numbers), (found, again) = state(through), state(stopped)
    assert again == numbers, output
    for part in ("state_dict", "optimizer", "param_schedulers"):
        assert equal(found[part], expected[part]), part
    for loss in ("train/loss", "train/loss_mask"):
        assert equal(*(each["message_hub"]["log_scalars"][loss] for each in (found, expected)))
    left = {file.name for file in stopped.glob("*.pth")} | {f.name for f in stopped.glob(".*")}
    assert left == {f"iter_{n}.pth" for n in range(2, 13, 2)}


def test_a_full_disk_while_saving_loses_nothing(
    toy_folder: Path, run_tool: Callable[..., None]
) -> None:
    """Files are limited in the disk's place."""
    options = ["--work-dir", "w", "--cfg-options", "train_cfg.max_iters=6", "log_level=ERROR"]
    options += ["default_hooks.checkpoint.interval=1"]
    run_tool("train.py", TOY, *options)
    through = torch.load("w/iter_6.pth", weights_only=True)
    Path("w/iter_6.pth").unlink()
    Path("w/last_checkpoint").write_text("w/iter_5.pth")

    before, limits = Path("w/iter_5.pth").read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, limits[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            run_tool("train.py", TOY, "--resume", *options)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert Path("w/iter_5.pth").read_bytes() == before
    assert not Path("w/iter_6.pth").exists() and not list(Path("w").glob(".*"))

    run_tool("train.py", TOY, "--resume", *options)
    resumed = torch.load("w/iter_6.pth", weights_only=True)
    assert equal(resumed["state_dict"], through["state_dict"])


def test_an_exception_in_a_worker(toy_folder: Path, run_tool: Callable[..., None]) -> None:
    options = ["--work-dir", "w", "--cfg-options", "train_dataloader.num_workers=1"]
    image = toy_folder / "toy_data" / "images" / "c.jpg"
    content = image.read_bytes()
    image.unlink()
    with pytest.raises(FileNotFoundError, match=r"(?s)worker process 0.*Traceback.*c\.jpg"):
        run_tool("train.py", TOY, *options)
    image.write_bytes(content)
    run_tool("train.py", TOY, "--resume", *options)
    assert (toy_folder / "w" / "iter_4.pth").is_file()


@pytest.mark.parametrize(
    ("rate", "interval", "said", "left"),
    [
        ("1e37", 1, r"iteration 2: the weight classify\.weight .* checkpoint is .*iter_1", 1),
        ("1e39", 9, r"iteration 2: loss is nan.*images .*\.jpg.* good checkpoint is none", 0),
    ],
)
def test_numbers_that_go_wrong(
    toy_folder: Path, run_tool: Callable[..., None], rate: str, interval: int, said: str, left: int
) -> None:
    """Losses, and weights of which no loss tells yet."""
    options = [f"optim_wrapper.optimizer.lr={rate}"]
    options += [f"default_hooks.checkpoint.interval={interval}"]
    with pytest.raises(SystemExit, match=said):
        run_tool("train.py", TOY, "--work-dir", "w", "--cfg-options", *options)
    assert len(list(Path("w").glob("*.pth"))) == left
