"""A run of tools/train.py: started, recognised when it is there already, and read."""

from __future__ import annotations

import json
import os
import shlex
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from zegclip.errors import InputError
from zegclip.evaluation import COLUMNS, training_fingerprint
from zegclip.files import PROJECT_ROOT


@dataclass(frozen=True)
class TrainingRun:
    """One training.

    Attributes:
        config: path of the config, as ``tools/train.py`` takes it from the project's folder.
        seed: of the training.
        options: changes of the config, as ``--cfg-options`` takes them.
        folder: its work dir.
        start: the checkpoint that it starts from, of another run.
    """

    config: str
    seed: int
    options: dict[str, Any]
    folder: Path
    start: Path | None = None

    def resolved(self) -> Config:
        """The config with the options."""
        config = Config.fromfile(PROJECT_ROOT / self.config)
        config.merge_from_dict(self.options)
        return config

    def command(self) -> list[str]:
        """``tools/train.py`` and its arguments but for the work dir."""
        words = ["tools/train.py", self.config, f"--seed={self.seed}"]
        options = self.options | ({"load_from": self.start} if self.start else {})
        changes = [f"{key}={value}" for key, value in options.items()]
        return [*words, "--cfg-options", *changes] if changes else words

    def report(self) -> dict[str, Any] | None:
        """The folder's ``report.json``, if it is of this very run, finished; else ``None``."""
        path, config = self.folder / "report.json", self.resolved()
        wanted = (config.train_cfg.max_iters, self.seed, training_fingerprint(config.to_dict()))
        try:
            if self.start and path.stat().st_mtime < self.start.stat().st_mtime:
                return None  # what it started from was trained again
            report = json.loads(path.read_text(encoding="utf-8"))
            found = tuple(report["protocol"][key] for key in ("iteration", "seed", "training"))
        except (OSError, ValueError, KeyError):
            return None
        return report if found == wanted else None

    def train(self) -> dict[str, Any]:
        """Train it and return its report; the output goes to ``output.txt`` in the folder.

        Raises:
            InputError: it failed.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        log = self.folder / "output.txt"
        # The table says how long a step takes on one core, or on the GPU.
        one_core = {} if torch.cuda.is_available() else {"OMP_NUM_THREADS": "1"}
        script, config, *rest = self.command()
        command = [sys.executable, script, config, "--work-dir", str(self.folder), *rest]
        with log.open("wb") as output:
            done = subprocess.run(
                command, cwd=PROJECT_ROOT, env=os.environ | one_core, stdout=output, stderr=output
            )
        report = self.report()
        if done.returncode or report is None:
            raise InputError(f"{self.config}, seed {self.seed}, failed: see {log}")
        return report

    def seconds_per_step(self) -> float:
        """Median of what its log says of a training step, without the waiting for data."""
        lines = [
            json.loads(line)
            for log in self.folder.glob("*/vis_data/scalars.json")
            for line in log.read_text().splitlines()
        ]
        return statistics.median(s["time"] - s["data_time"] for s in lines if "loss" in s)


def train_all(runs: Sequence[TrainingRun]) -> list[dict[str, Any]]:
    """Train what is not finished; seed, scores in percent, code and command of each run."""
    records = []
    for number, each in enumerate(runs, 1):
        kept = each.report()
        report = kept or each.train()
        scores = {key: report[key] for key in COLUMNS if key in report}
        line = "  ".join(f"{COLUMNS[key]} {value:.1f}" for key, value in scores.items())
        print(f"{number}/{len(runs)} {each.folder}: {line}{'  (kept)' if kept else ''}", flush=True)
        command = shlex.join(["python", *each.command()])
        code = report["protocol"]["code"]
        records.append({"seed": each.seed, **scores, "code": code, "command": command})
    return records


def train_groups(groups: Mapping[str, Sequence[TrainingRun]]) -> dict[str, list[dict[str, Any]]]:
    """Train groups of runs seed by seed: one that is stopped early has some of everything."""
    records = train_all([each for runs in zip(*groups.values(), strict=True) for each in runs])
    return {name: records[index :: len(groups)] for index, name in enumerate(groups)}
