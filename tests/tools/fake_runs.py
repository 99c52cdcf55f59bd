"""Stands in for the processes of tools/compare.py: each leaves what its tool leaves."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import compare
import pytest
from mmengine.config import Config, DictAction
from support import runs

from zegclip.evaluation import COLUMNS
from zegclip.files import PROJECT_ROOT

MEANS = {
    "inductive": 40.0,
    "transductive": 50.0,
    "transductive-all-unlabelled": 45.0,
    "supervised": 60.0,
    "mini": 20.0,
}


class FakeRuns:
    """Commands in the order in which they were begun, on a clock of their own.

    Attributes:
        commands: of all processes, without the interpreter.
        most: how many there were at once.
        seconds: that each takes.
        failing: those whose command holds this text fail.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.commands: list[list[str]] = []
        self.environments: list[dict[str, str]] = []
        self.now, self.seconds, self.running, self.most = 0.0, 1.0, 0, 0
        self.failing, self.terminated = "none fails", 0
        clock = SimpleNamespace(monotonic=lambda: self.now, sleep=self.sleep)
        for module in (runs, compare):
            monkeypatch.setattr(module, "time", clock)
        monkeypatch.setattr(runs.subprocess, "Popen", self.begin)

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def begin(self, command: list[str], env: dict[str, str], **_: Any) -> Any:
        command = [command[0], str(Path(command[1]).relative_to(PROJECT_ROOT)), *command[2:]]
        self.commands.append(command[1:])
        self.environments.append(env)
        self.running += 1
        self.most = max(self.most, self.running)
        end, process = self.now + self.seconds, SimpleNamespace(returncode=None, wait=lambda: None)

        def poll() -> int | None:
            if self.now >= end - 1e-6 and process.returncode is None:
                self.running -= 1
                fails = any(self.failing in word for word in command)
                process.returncode = int(fails)
                if not fails:
                    leave(command[1:])
            return process.returncode

        def terminate() -> None:
            self.running -= 1
            self.terminated += 1

        process.poll, process.terminate = poll, terminate
        return process


def leave(command: list[str]) -> None:
    """The files that a tool writes."""
    script, config_name, *rest = command
    tool, folder = Path(script).stem, Path(rest[-1])
    assert rest[-2] == runs.TOOLS[tool][0]
    changes = dict(word.split("=", 1) for word in rest[:-2] if "=" in word)
    seed = int(changes.pop("--seed", -1))
    if tool == "analyze":
        seed = int(folder.parent.name.rpartition("_")[2])
        fragments = {"all": {"fragments_per_object": 10.0 + seed}}
        content = {"code": "1 (abc)", "results": {"x": [{"fragments": fragments}]}}
        (folder / "analysis.json").write_text(json.dumps(content))
        return
    config = Config.fromfile(PROJECT_ROOT / config_name)
    config.merge_from_dict({k: DictAction._parse_int_float_bool(v) for k, v in changes.items()})
    setting, rate, iterations = Path(config_name).stem.split("_")[-1], 0.0, None
    if tool == "train":
        rate, iterations = config.optim_wrapper.optimizer.lr, config.train_cfg.max_iters
    elif setting == "mini":  # what is not trained
        seed = 0
    else:
        assert Path(rest[0]).is_file()
        seed = int(folder.name.rpartition("_")[2])
    scores = dict.fromkeys(COLUMNS, MEANS[setting] + seed % 10 + (seed % 3) / 10 - rate)
    scores["mIoU_S"] += 2 * min(rate, 2e-3)  # best at 2e-3, all others at the smallest
    protocol = {"iteration": iterations, "max_iters": iterations}
    protocol |= {"code": "1 (abc)", "device": "a GPU"}
    (folder / "report.json").write_text(json.dumps({**scores, "protocol": protocol}))
    if tool == "train" and config.default_hooks.checkpoint:
        interval = config.default_hooks.checkpoint.interval
        for iteration in range(interval, iterations + 1, interval):
            (folder / f"iter_{iteration}.pth").touch()
