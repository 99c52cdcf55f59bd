"""Trainings in processes of their own; a script that trains nothing takes the place of train.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from mini_benchmark.training_runs import TrainingRun, only_one, train_all

from zegclip.engine import training_runs
from zegclip.errors import InputError

SCRIPT = """
import json, sys, time
from pathlib import Path
from mmengine.config import Config

config = Config.fromfile(sys.argv[1])
work_dir, seed = Path(sys.argv[3]), int(sys.argv[4].split("=")[1])
for change in sys.argv[6:]:
    key, value = change.split("=")
    config.merge_from_dict({key: json.loads(value)})
with open("begun.txt", "a") as begun:
    begun.write(f"{seed}\\n")
if config.get("fails"):
    sys.exit("no such head")
if config.get("silent"):
    sys.exit(0)
time.sleep(config.get("seconds", 0))
config.work_dir, config.randomness = str(work_dir), dict(seed=seed)
config.dump(work_dir / Path(sys.argv[1]).name)
iterations = config.train_cfg.max_iters
(work_dir / f"iter_{iterations}.pth").write_bytes(b"weights")
report = dict(hIoU=50 + seed, protocol=dict(iteration=iterations))
(work_dir / "report.json").write_text(json.dumps(report))
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a config over a base."""
    for folder in ("tools", "configs"):
        (tmp_path / folder).mkdir()
    (tmp_path / "tools" / "train.py").write_text(SCRIPT)
    (tmp_path / "configs" / "base.py").write_text("width = 1\ntrain_cfg = dict(max_iters=9)\n")
    (tmp_path / "configs" / "mine.py").write_text("_base_ = './base.py'\n")
    monkeypatch.setattr(training_runs, "PROJECT_ROOT", tmp_path)
    return tmp_path


def run_of(root: Path, seed: int = 0, **options: Any) -> TrainingRun:
    options = {"train_cfg.max_iters": 3, **options}
    return TrainingRun("mine", root / "configs" / "mine.py", options, seed, root / f"run_{seed}")


def begun(root: Path) -> list[int]:
    file = root / "begun.txt"
    return [int(line) for line in file.read_text().split()] if file.is_file() else []


def test_each_is_trained_once(root: Path) -> None:
    runs = [run_of(root, seed) for seed in (0, 1, 2)]
    reports: dict[int, Any] = {}
    assert train_all(runs, 2, lambda run, report: reports.update({run.seed: report["hIoU"]})) == 3
    assert reports == {0: 50, 1: 51, 2: 52}
    assert train_all(runs, 2) == 0
    assert sorted(begun(root)) == [0, 1, 2]


@pytest.mark.parametrize(
    "change", ["base config", "options", "report", "empty report", "checkpoint", "dump", "seed"]
)
def test_what_is_no_longer_this_run_is_trained_again(root: Path, change: str) -> None:
    run = run_of(root)
    train_all([run], 1)
    assert run.report() is not None
    if change == "base config":
        (root / "configs" / "base.py").write_text("width = 2\ntrain_cfg = dict(max_iters=9)\n")
    elif change == "options":
        run = run_of(root, width=5)
    elif change == "report":
        (run.folder / "report.json").write_text('{"hIoU": 5')
    elif change == "empty report":
        (run.folder / "report.json").write_text("{}")
    elif change == "checkpoint":
        run.checkpoint.unlink()
    elif change == "dump":
        (run.folder / "mine.py").write_text("width = ")
    else:
        run = TrainingRun("mine", run.config, run.options, 7, run.folder)
    assert run.report() is None
    assert train_all([run], 1) == 1
    assert run.report() is not None


def test_a_failure_names_its_log_and_begins_no_other(root: Path) -> None:
    runs = [run_of(root, 0, fails=1), *(run_of(root, seed) for seed in (1, 2, 3))]
    with pytest.raises(InputError, match=r"mine, seed 0, failed: see .*run_0/output\.txt"):
        train_all(runs, 1)
    assert "no such head" in (root / "run_0" / "output.txt").read_text()
    assert len(begun(root)) <= 2  # the next may have begun before the failure was seen
    assert train_all(runs[1:], 1) >= 2


def test_an_old_report_is_not_taken_for_a_new_one(root: Path) -> None:
    train_all([run_of(root)], 1)
    (root / "configs" / "base.py").write_text("silent = 1\ntrain_cfg = dict(max_iters=9)\n")
    with pytest.raises(InputError, match="failed"):
        train_all([run_of(root)], 1)


def test_an_interrupt_ends_the_trainings(root: Path) -> None:
    def interrupt(run: TrainingRun, report: Any) -> None:
        raise KeyboardInterrupt

    runs = [run_of(root, 0, seconds=1), run_of(root, 1, seconds=120), run_of(root, 2)]
    with pytest.raises(KeyboardInterrupt):
        train_all(runs, 2, interrupt)
    assert runs[0].report() is not None
    assert runs[1].report() is None  # it would have finished after two minutes
    assert sorted(begun(root))[:2] == [0, 1]


def test_one_process_at_a_time_in_a_folder(tmp_path: Path) -> None:
    with only_one(tmp_path / "runs"):
        with pytest.raises(InputError, match=r"at work in .*runs: .*--work-dir"):
            with only_one(tmp_path / "runs"):
                pass
    with only_one(tmp_path / "runs"):
        pass


def test_gpus_are_those_that_are_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,GPU-5")
    places = [training_runs._environment(place)["CUDA_VISIBLE_DEVICES"] for place in range(3)]
    assert places == ["3", "GPU-5", "3"]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert training_runs._environment(1)["CUDA_VISIBLE_DEVICES"] == "1"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert training_runs._environment(1)["OMP_NUM_THREADS"] == "1"


def test_command_as_one_types_it(root: Path) -> None:
    run = run_of(root, 4)
    assert run.command_line() == (
        "python tools/train.py configs/mine.py --seed=4 --cfg-options train_cfg.max_iters=3"
    )
    assert json.loads(json.dumps(run.command)) == run.command
