"""Our tools as processes, several at once; a run that is finished is not done again.

Two files in a run's folder say which run it holds. Both hold its identity: tool, fingerprint of the
training's settings, digests of how it is judged and of the CLIP weights, seed, and what it starts
from. Runs of equal identity are the same run.

- ``run.json`` is written when the run has finished, with a digest of the scores of the run that it
  started from: where other code has made that one anew, this one is done again.
- ``begun.json`` is written before a training that may be resumed, with a digest of the very
  checkpoint that it starts from.
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.runner import find_latest_checkpoint

from zegclip.compat import available_cores
from zegclip.datasets.from_config import LOADERS, iter_datasets
from zegclip.engine.config_files import read_config
from zegclip.evaluation import COLUMNS, training_fingerprint
from zegclip.evaluation.protocol import digest
from zegclip.files import PROJECT_ROOT, find_path, write_text

# What each tool is told its folder with, and what it leaves there.
TOOLS = {
    "train": ("--work-dir", "report.json"),
    "test": ("--work-dir", "report.json"),
    "analyze": ("--out", "analysis.json"),
}


@dataclass(frozen=True)
class Run:
    """One training, test or analysis.

    Attributes:
        config: path of the config, as the tool takes it from the project's folder.
        seed: of the training; ``None``: a test of what is not trained.
        options: changes of the config, as ``--cfg-options`` takes them.
        folder: where it writes.
        start: a checkpoint of another run: what it goes on from, tests or analyses.
        tool: one of :data:`TOOLS`.
        gpus: processes that train it, each with the config's batch.
        resume: an unfinished training goes on from its last checkpoint.
        unseen: the unseen classes of another split than the config's.
    """

    config: str
    seed: int | None
    options: dict[str, Any]
    folder: Path
    start: Path | None = None
    tool: str = "train"
    gpus: int = 1
    resume: bool = False
    unseen: Sequence[str] = ()

    def resolved(self) -> Config:
        """The config with the options and the split."""
        config = copy.deepcopy(_read(self.config))
        config.merge_from_dict(self.options)
        for loader in LOADERS.values() if self.unseen else ():
            for dataset in iter_datasets((config.get(loader) or {}).get("dataset")):
                dataset["unseen"] = [*self.unseen]
        return config

    def command(self) -> list[str]:
        """The tool and its arguments but for the folder."""
        words, options = [f"tools/{self.tool}.py", self.config], dict(self.options)
        if self.gpus > 1:
            words = ["tools/dist_train.sh", self.config, str(self.gpus)]
        if self.tool == "train":
            words.append(f"--seed={self.seed}")
            options |= {"load_from": self.start} if self.start else {}
        elif self.start:
            words.append(str(self.start))
        words += ["--unseen", *self.unseen] if self.unseen else []
        changes = [f"{key}={value}" for key, value in options.items()]
        return [*words, "--cfg-options", *changes] if changes else words

    def report(self) -> dict[str, Any] | None:
        """What it wrote, if the folder holds this very run, finished; else ``None``."""
        try:
            kept = json.loads((self.folder / "run.json").read_text())
            before, now = kept.pop("start_scores", None), self._start_scores()
            if kept != self._identity() or (before and now and before != now):
                return None
            return json.loads((self.folder / TOOLS[self.tool][1]).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None

    def begin(self, threads: int | None = None, devices: Sequence[str] = ()) -> subprocess.Popen:
        """Start its process; the output goes to ``output.txt`` in the folder.

        Args:
            threads: that it may compute with; ``None``: as the tool decides.
            devices: the GPUs that it sees; none: all.
        """
        option, product = TOOLS[self.tool]
        self.folder.mkdir(parents=True, exist_ok=True)
        for name in ("run.json", product):
            (self.folder / name).unlink(missing_ok=True)
        share = {} if threads is None else {"OMP_NUM_THREADS": str(threads)}
        share |= {"CUDA_VISIBLE_DEVICES": ",".join(devices)} if devices else {}
        script, *rest = self.command()
        program = [sys.executable] if script.endswith(".py") else ["bash"]
        if self.resume:
            rest.append("--resume")
            write_text(self.folder / "begun.json", json.dumps(self._begun()) + "\n")
        command = [*program, str(PROJECT_ROOT / script), *rest, option, str(self.folder)]
        with (self.folder / "output.txt").open("wb") as output:
            environment = os.environ | share | {"PYTHON": sys.executable}
            return subprocess.Popen(command, env=environment, stdout=output, stderr=output)

    def began_otherwise(self) -> bool:
        """Whether its folder holds another run, which is not to be resumed as it, nor replaced.

        That one has other settings, or has started from what was another checkpoint then.
        """
        for name, now in (("begun.json", self._begun()), ("run.json", self._identity())):
            if name == "begun.json" and not any(self.folder.glob("*.pth")):
                continue  # nothing would be lost
            if (file := self.folder / name).is_file():
                kept = json.loads(file.read_text(encoding="utf-8"))
                return {key: value for key, value in kept.items() if key != "start_scores"} != now
        return False

    def finish(self, returncode: int) -> bool:
        """Note that its process has ended; whether it did all of its work."""
        written = self.folder / TOOLS[self.tool][1]
        if returncode or not written.is_file():
            return False
        if self.tool == "train":  # a validation before the last iteration is no result
            protocol = json.loads(written.read_text(encoding="utf-8"))["protocol"]
            if protocol["iteration"] != protocol["max_iters"]:  # but where a hook has ended it
                newest = find_latest_checkpoint(str(self.folder)) or ""
                if Path(newest).stem != f"iter_{protocol['iteration']}":
                    return False
        made = self._identity()
        if scores := self._start_scores():
            made["start_scores"] = scores
        write_text(self.folder / "run.json", json.dumps(made) + "\n")
        return True

    def record(self) -> dict[str, Any] | None:
        """Seed, scores in percent, code and device of a finished training or test."""
        if (report := self.report()) is None:
            return None
        scores = {key: report[key] for key in COLUMNS if key in report}
        made = {key: report["protocol"].get(key) for key in ("code", "device")}
        return {"seed": self.seed, **scores, **made}

    def _begun(self) -> dict[str, Any]:
        """What it does, and the very file that it starts from."""
        start = self.start or self.resolved().get("load_from")
        return self._identity() | {"start": _digest(find_path(start)) if start else None}

    def _start_scores(self) -> str | None:
        """A digest of the scores of what it starts from: trained by other code, it is another."""
        file = self.start and self.start.parent / "report.json"
        if file is None or not file.is_file():
            return None
        report = json.loads(file.read_text(encoding="utf-8"))
        return digest([report.get(key) for key in COLUMNS])

    def _identity(self) -> dict[str, Any]:
        """What it does, wherever its folder lies, from what, and how it is judged."""
        config = self.resolved()
        start: Any = self.start or config.get("load_from")
        if start:
            file = find_path(start)
            made = file.parent / "run.json"
            start = [file.name, json.loads(made.read_text()) if made.is_file() else _digest(file)]
        mode = "val" if self.tool == "train" else "test"
        data, metrics = config[f"{mode}_dataloader"].dataset, config.get(f"{mode}_evaluator")
        return {
            "tool": self.tool,
            "config": training_fingerprint(config.to_dict()),
            "judged": digest([config.model.get("test_cfg"), data, metrics]),
            "seed": self.seed,
            "clip": _digest(find_path(config.model.clip.weights)),
            "start": start,
            **({"gpus": self.gpus} if self.gpus > 1 else {}),
        }


@cache
def _read(config: str) -> Config:
    return read_config(PROJECT_ROOT / config)


def _digest(path: Path) -> str | None:
    return _digest_of(path, path.stat().st_mtime_ns) if path.is_file() else None


@cache
def _digest_of(path: Path, changed: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def run_all(runs: Sequence[Run], jobs: int = 1, until: float = math.inf) -> list[Run]:
    """Do the runs that are not finished; one that starts from another's checkpoint waits for it.

    Else they begin in the order given. A run that fails stops no other. When the time is over, or
    on an interrupt, the runs that have begun are ended.

    Args:
        runs: a run whose checkpoint is another one's ``start`` comes before it.
        jobs: runs at once; they share the cores, and the GPUs in turn.
        until: the ``time.monotonic()`` from which on nothing is begun, and what runs is ended.

    Returns:
        The runs that failed.
    """
    unfinished: set[Path] = set()
    for each in runs:
        if each.report() is None or (each.start and each.start.parent in unfinished):
            unfinished.add(each.folder)
    # A checkpoint that was left out of a copy is made again where another one needs it.
    for each in reversed(runs):
        if each.folder in unfinished and each.start and not each.start.is_file():
            unfinished.add(each.start.parent)
    waiting = [each for each in runs if each.folder in unfinished]
    running: list[tuple[Run, subprocess.Popen]] = []
    places: dict[Path, int] = {}  # 0 .. jobs - 1: which share of the GPUs a run has
    failed: list[Run] = []
    threads = max(1, available_cores() // jobs) if jobs > 1 else None
    print(f"{len(runs) - len(waiting)} of {len(runs)} runs are there", flush=True)
    try:
        while (waiting or running) and time.monotonic() < until:
            for each in list(_ready(waiting, [run for run, _ in running]))[: jobs - len(running)]:
                waiting.remove(each)
                taken = {places[run.folder] for run, _ in running}
                places[each.folder] = min(set(range(jobs)) - taken)
                devices = share_of_gpus(places[each.folder], each.gpus)
                running.append((each, each.begin(threads, devices)))
            for each, process in [*running]:
                if process.poll() is None:
                    continue
                running.remove((each, process))
                if not each.finish(process.returncode):
                    failed.append(each)
                left = len(waiting) + len(running)
                print(f"{_line(each, each in failed)}  ({left} left)", flush=True)
            time.sleep(0.1)
    finally:
        for _, process in running:
            process.terminate()
        for _, process in running:
            process.wait()
    return failed


def share_of_gpus(place: int, number: int) -> list[str]:
    """The GPUs of the run in that place; of as many as this process sees, in turn."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    count = torch.cuda.device_count()
    gpus = named.split(",")[:count] if named else [str(each) for each in range(count)]
    return [gpus[(place * number + each) % count] for each in range(number)] if count else []


def _ready(waiting: Sequence[Run], running: Sequence[Run]) -> Iterator[Run]:
    """Runs whose start is not being made, nor still to be."""
    unfinished = {each.folder for each in (*waiting, *running)}
    return (each for each in waiting if not each.start or each.start.parent not in unfinished)


def _line(run: Run, failed: bool) -> str:
    """What came of a run, for the terminal."""
    if failed:
        return f"FAILED {run.folder}: see output.txt there"
    scores = (run.record() or {}) if run.tool != "analyze" else {}
    shown = [f"{COLUMNS[key]} {value:.1f}" for key, value in scores.items() if key in COLUMNS]
    return "  ".join([str(run.folder), *shown])


def command_line(run: Run) -> str:
    """Its command as one types it."""
    words = run.command()
    return shlex.join(["python", *words] if words[0].endswith(".py") else words)
