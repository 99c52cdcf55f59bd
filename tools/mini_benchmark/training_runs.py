"""Many trainings, each in a process of its own: some at a time, and none of them twice."""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import torch
from mmengine.config import Config

from zegclip.errors import InputError
from zegclip.files import PROJECT_ROOT

# What a run's dumped config says beside the config itself.
_OF_THE_RUN = ("launcher", "randomness", "work_dir", "resume", "local_rank")


@dataclass(frozen=True)
class TrainingRun:
    """One training by ``tools/train.py``.

    Args:
        name: for messages.
        config: the config file, in the repository.
        options: changes of it, as ``--cfg-options`` takes them; holds ``train_cfg.max_iters``.
        seed: of the run.
        folder: its work dir.
    """

    name: str
    config: Path
    options: dict[str, Any]
    seed: int
    folder: Path

    @property
    def command(self) -> list[str]:
        """What is run by Python, from the repository's root, without the work dir."""
        return [
            "tools/train.py",
            str(self.config.relative_to(PROJECT_ROOT)),
            f"--seed={self.seed}",
            "--cfg-options",
            *(f"{key}={value}" for key, value in self.options.items()),
        ]

    @property
    def checkpoint(self) -> Path:
        """The file that the finished run leaves."""
        return self.folder / f"iter_{self.options['train_cfg.max_iters']}.pth"

    def resolved(self) -> Config:
        """The config with the options applied."""
        config = Config.fromfile(self.config)
        config.merge_from_dict(self.options)
        return config

    def report(self) -> dict[str, Any] | None:
        """``report.json``, if the folder holds this very run, finished; else ``None``.

        The config that the run was made with is compared, not its command line only: a change in
        a base file makes a run another one. The code is not; the report says which it was.
        """
        try:
            report = json.loads((self.folder / "report.json").read_text())
            seed = _seed_of(dumped := Config.fromfile(self.folder / self.config.name))
        except (OSError, ValueError, SyntaxError, AttributeError):
            return None
        finished = report.get("protocol", {}).get("iteration")
        if finished != self.options["train_cfg.max_iters"] or not self.checkpoint.is_file():
            return None
        same = seed == self.seed and _content(dumped) == _content(self.resolved())
        return report if same else None

    def command_line(self) -> str:
        """The command as one types it."""
        return shlex.join(["python", *self.command])


def _content(config: Config) -> dict[str, Any]:
    return {k: v for k, v in config._cfg_dict.to_dict().items() if k not in _OF_THE_RUN}


def _seed_of(dumped: Config) -> int | None:
    return dumped.get("randomness", {}).get("seed")


def train_all(
    runs: Sequence[TrainingRun],
    jobs: int,
    done: Callable[[TrainingRun, dict[str, Any]], None] = lambda run, report: None,
) -> int:
    """Train what is not finished yet.

    Args:
        runs: all of them; finished ones (:meth:`TrainingRun.report`) are left alone.
        jobs: how many at a time; each gets one GPU, or one core where there is none.
        done: called after each with its report.

    Returns:
        How many were trained.

    Raises:
        InputError: a run failed. No other is begun then; those that are going on are
            finished before.
        KeyboardInterrupt: those that are going on are ended.
    """
    waiting = [run for run in runs if run.report() is None]
    places: SimpleQueue[int] = SimpleQueue()
    for place in range(jobs):
        places.put(place)
    living: set[subprocess.Popen[bytes]] = set()

    def one(run: TrainingRun) -> None:
        place = places.get()
        try:
            done(run, _train(run, place, living))
        finally:
            places.put(place)

    pool = ThreadPoolExecutor(jobs)
    futures = [pool.submit(one, run) for run in waiting]
    try:
        for future in as_completed(futures):
            future.result()
    except KeyboardInterrupt:
        for process in list(living):
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
    return len(waiting)


def _train(run: TrainingRun, place: int, living: set[subprocess.Popen[bytes]]) -> dict[str, Any]:
    """One run on the GPU or the core ``place``; its process is in ``living`` meanwhile."""
    run.folder.mkdir(parents=True, exist_ok=True)
    (run.folder / "report.json").unlink(missing_ok=True)
    log = run.folder / "output.txt"
    script, config, *rest = run.command
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, script, config, "--work-dir", str(run.folder), *rest],
            cwd=PROJECT_ROOT,
            env=_environment(place),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        living.add(process)
        try:
            code = process.wait()
        finally:
            living.discard(process)
    report = run.report()
    if code or report is None:
        raise InputError(f"{run.name}, seed {run.seed}, failed: see {log}")
    return report


def _environment(place: int) -> dict[str, str]:
    """One of the GPUs that are visible here, or one thread."""
    environment = dict(os.environ)
    if torch.cuda.is_available():
        visible = environment.get("CUDA_VISIBLE_DEVICES")
        devices = visible.split(",") if visible else range(torch.cuda.device_count())
        environment["CUDA_VISIBLE_DEVICES"] = str(devices[place % len(devices)])
    else:
        environment["OMP_NUM_THREADS"] = "1"
    return environment


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Within, no second process may work in the folder.

    Raises:
        InputError: another one does.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InputError(
                f"another process is at work in {folder}: wait for it, or choose another --work-dir"
            ) from None
        yield
