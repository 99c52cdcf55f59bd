"""report.json: the numbers, and beside them the protocol that they depend on."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.device import get_device
from mmengine.dist import get_world_size, is_main_process
from mmengine.hooks import CheckpointHook, Hook
from mmengine.runner import BaseLoop, Runner
from mmseg.registry import HOOKS

from zegclip.datasets.from_config import iter_datasets
from zegclip.errors import InputError
from zegclip.files import PROJECT_ROOT, write_text
from zegclip.version import __version__
from zegclip.vocabulary import Vocabulary

from .protocol import data_protocol, image_names, protocol_fingerprint, protocol_line
from .scores import score_names
from .training import changes, tested_otherwise, training_fingerprint, training_settings
from .zero_shot_metric import ZeroShotIoUMetric

# What a checkpoint says of its training, for the reports of its tests.
_OF_TRAINING = ("max_iters", "training", "start", "trained_images", "seed")


def write_report(
    path: str | os.PathLike[str], summary: Mapping[str, Any], protocol: Mapping[str, Any]
) -> None:
    """Write what :func:`~zegclip.evaluation.scores.scores` returns and the protocol as JSON.

    Raises:
        ValueError: a number is not finite.
    """
    text = json.dumps({**summary, "protocol": dict(protocol)}, indent=2, allow_nan=False)
    write_text(path, text + "\n")


def code_version() -> str:
    """The package's version and, in a git checkout, the commit (``-dirty``: with changes)."""
    if not (PROJECT_ROOT / ".git").exists():
        return __version__
    command = ["git", "-C", str(PROJECT_ROOT), "describe", "--always", "--dirty", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return __version__
    return f"{__version__} ({done.stdout.strip()})"


@HOOKS.register_module()
class ReportHook(Hook):
    """After each validation and test, write ``report.json`` into the work dir.

    The log gets a line with the protocol and its fingerprint, and one before training. How a model
    was trained is written into its checkpoints, for the report of a later test; a run that is
    resumed goes on as it began, or the report would not be true. There is no report where
    :class:`ZeroShotIoUMetric` is not among the metrics.
    """

    # Before VocabularyHook, which after a validation gives the model the training's vocabulary
    # back: the protocol is the validation's.
    priority = "HIGHEST"

    def __init__(self) -> None:
        # What the checkpoint that was loaded says of its training: _OF_TRAINING, and "iteration".
        self._trained: dict[str, Any] = {}
        # Of the checkpoint that this training started from: its training's fingerprint and its
        # iteration; None: it started from none.
        self._start: dict[str, Any] | None = None
        # Digests of the names of this training's images, and of those before it was resumed.
        self._images: str | None = None
        self._images_before: str | None = None
        # In which settings a tested model differs from the trained one.
        self._other_settings: list[str] = []

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Write down how the model is trained."""
        meta = checkpoint.setdefault("meta", {})
        if getattr(runner.cfg, "filename", None):  # by which the config is found again
            meta["config"] = _config(runner)
        meta["max_iters"] = runner.max_iters
        meta["training"] = training_fingerprint(runner.cfg, get_world_size())
        meta["settings"] = training_settings(runner.cfg, get_world_size())
        meta["start"] = self._start
        meta["trained_images"] = self._images

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Remember how the model was trained.

        Raises:
            InputError: a run is resumed with other settings.
        """
        meta = checkpoint.get("meta") or {}
        if _trains(runner) and runner._resume:
            _check_resumed_settings(runner, meta)
        self._remember_training(runner, meta)

    def _remember_training(self, runner: Runner, meta: Mapping[str, Any]) -> None:
        if _trains(runner) and runner._resume:
            self._start, self._images_before = meta.get("start"), meta.get("trained_images")
        elif _trains(runner):
            self._start = {"training": meta.get("training"), "iteration": meta.get("iter")}
        self._other_settings = [] if _trains(runner) else tested_otherwise(meta, runner.cfg)
        if self._other_settings:
            runner.logger.warning(
                "the model is not tested as it was trained, but with "
                f"{', '.join(self._other_settings)}"
            )
        self._trained = dict.fromkeys(("max_iters", "training", "seed"))
        self._trained |= {key: meta[key] for key in _OF_TRAINING if key in meta}
        self._trained["iteration"] = meta.get("iter")

    def before_train(self, runner: Runner) -> None:
        """Check what a training begins with, and warn where nothing is left to train.

        Raises:
            InputError: a checkpoint hook's ``save_best`` is no number of the validation, or a run
                is resumed with other images.
        """
        self._check_save_best(runner)
        self._check_images(runner)
        if runner.iter >= runner.max_iters:
            runner.logger.warning(
                f"this run is finished: it was resumed at iteration {runner.iter} of "
                f"{runner.max_iters}, and nothing is left to train"
            )

    def _check_save_best(self, runner: Runner) -> None:
        metric = self._metric(runner.val_loop)
        if metric is None or len(runner.val_loop.evaluator.metrics) > 1:
            return
        names = score_names(Vocabulary.from_metainfo(runner.val_dataloader.dataset.metainfo))
        if metric.prefix:
            names = [f"{metric.prefix}/{name}" for name in names]
        for hook in runner.hooks:
            best = (isinstance(hook, CheckpointHook) and hook.save_best) or ()
            if unknown := set(best) - {"auto", *names}:
                raise InputError(
                    f"save_best: a validation has no {', '.join(sorted(unknown))}, only "
                    f"{', '.join(names)}"
                )

    def _check_images(self, runner: Runner) -> None:
        self._images = image_names(runner.train_dataloader.dataset)
        if self._images_before not in (None, self._images):
            raise InputError(
                "a run goes on with the images that it began with, and these are others: put them "
                "back, or begin anew with another --work-dir"
            )

    def before_train_epoch(self, runner: Runner) -> None:
        """Log what this run will be judged by (``max_iters`` are one epoch)."""
        loop = runner.val_loop
        if self._metric(loop) is None:
            return
        train = runner.train_dataloader.dataset.metainfo
        if loop.dataloader.dataset.metainfo["setting"] == train["setting"]:
            runner.logger.info(protocol_line(self._protocol(runner, loop, "validation")))
        runner.logger.info(f"seed {runner.seed}, deterministic {runner.deterministic}")

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Write the validation's numbers."""
        self._write(runner, runner.val_loop, "validation")

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Write the test's numbers."""
        self._write(runner, runner.test_loop, "test")

    def _write(self, runner: Runner, loop: Any, stage: str) -> None:
        # Only the main process has the numbers of all.
        metric = self._metric(loop)
        if not is_main_process() or metric is None or metric.summary is None:
            return
        protocol = self._protocol(runner, loop, stage) | {"labels": metric.labels}
        path = Path(runner.work_dir) / "report.json"
        write_report(path, metric.summary, protocol)
        runner.logger.info(f"{protocol_line(protocol)}\nnumbers and protocol: {path}")

    @staticmethod
    def _metric(loop: Any) -> ZeroShotIoUMetric | None:
        metrics = loop.evaluator.metrics if loop is not None else []
        return next((m for m in metrics if isinstance(m, ZeroShotIoUMetric)), None)

    def _protocol(self, runner: Runner, loop: Any, stage: str) -> dict[str, Any]:
        dataset, model = loop.dataloader.dataset, runner.model
        while not hasattr(model, "protocol") and hasattr(model, "module"):  # DDP, averaging
            model = model.module
        mode = "val" if stage == "validation" else "test"
        evaluated = iter_datasets((runner.cfg.get(f"{mode}_dataloader") or {}).get("dataset"))
        pipelines: list[Any] = []  # of data sets that are joined: each way once
        for pipeline in (each.get("pipeline", []) for each in evaluated):
            pipelines += [pipeline] if pipeline not in pipelines else []
        # A test reports how its checkpoint was trained, not what its own config says.
        trained: Mapping[str, Any] = self._trained
        if _trains(runner):
            trained = {
                "seed": runner.seed,
                "iteration": runner.iter or None,
                "max_iters": runner.max_iters,
                "training": training_fingerprint(runner.cfg, get_world_size()),
                "start": self._start,
                "trained_images": self._images,
            }
        protocol = {
            **data_protocol(dataset),
            "pipeline": json.loads(
                json.dumps([step for each in pipelines for step in each], default=str)
            ),
            **getattr(model, "protocol", dict)(),
            "stage": stage,
            **{key: trained[key] for key in ("iteration", *_OF_TRAINING) if key in trained},
            "config": _config(runner),
            "deterministic": runner.deterministic,
            "checkpoint": runner._load_from,
            "device": _device(),
            "code": code_version(),
        }
        if getattr(loop, "fp16", False):
            protocol["fp16"] = True
        if self._other_settings:
            protocol["other_settings"] = self._other_settings
        return protocol | {"fingerprint": protocol_fingerprint(protocol)}


def _trains(runner: Runner) -> bool:
    """Whether it is a training. (In a test mmengine keeps the loop's config in its place.)"""
    return isinstance(runner._train_loop, BaseLoop)


def _check_resumed_settings(runner: Runner, meta: Mapping[str, Any]) -> None:
    """Refuse to go on with other settings than the checkpoint's.

    mmengine would take some of them (batch, length) and overwrite others by the checkpoint's
    (learning rate, schedule).
    """
    if "settings" not in meta:
        return
    settings = training_settings(runner.cfg, get_world_size())
    if changed := list(changes(meta["settings"], settings)):
        raise InputError(
            f"a run goes on with the settings that it began with; {', '.join(changed)} would make "
            "it another one: without --resume, with another --work-dir (and load_from=CHECKPOINT "
            "to start from its weights)"
        )


def _device() -> str:
    device = get_device()  # mmengine's choice, which its runner obeys
    return torch.cuda.get_device_name() if device == "cuda" else device.upper()


def _config(runner: Runner) -> str:
    return Path(getattr(runner.cfg, "filename", None) or "unknown").stem
