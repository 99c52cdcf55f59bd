"""report.json: the numbers, and beside them the protocol that they depend on."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmseg.registry import HOOKS

import zegclip
from zegclip.datasets.vocabulary import Vocabulary
from zegclip.paths import PROJECT_ROOT

from .zero_shot_metric import ZeroShotIoUMetric


def write_report(
    path: str | os.PathLike[str], summary: Mapping[str, Any], protocol: Mapping[str, Any]
) -> None:
    """Write numbers and protocol as JSON; a reader never sees half a file.

    Args:
        path: the file; its folder is made.
        summary: what :func:`~zegclip.evaluation.scores.scores` returns.
        protocol: what the numbers depend on, plain data.

    Raises:
        ValueError: a number is not finite.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({**summary, "protocol": dict(protocol)}, indent=2, allow_nan=False)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_text(text + "\n", encoding="utf-8")
    os.replace(unfinished, path)


def data_protocol(metainfo: Mapping[str, Any], num_images: int) -> dict[str, Any]:
    """The data set's part of the protocol.

    Args:
        metainfo: the data set's.
        num_images: how many images were evaluated.
    """
    vocabulary = Vocabulary.from_metainfo(metainfo)
    return {
        "dataset": metainfo.get("dataset_name", "unknown"),
        "images": num_images,
        "setting": vocabulary.setting,
        "unseen": list(vocabulary.unseen),
        "num_classes": len(vocabulary.classes),
        "words": {
            name: list(words)
            for name, words in zip(vocabulary.classes, vocabulary.words, strict=True)
        },
        "ignore_rule": metainfo.get("ignore_rule", "unknown"),
    }


def code_version() -> str:
    """The package's version and, in a git checkout, the commit (``-dirty``: with changes)."""
    if not (PROJECT_ROOT / ".git").exists():
        return zegclip.__version__
    command = ["git", "-C", str(PROJECT_ROOT), "describe", "--always", "--dirty", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return zegclip.__version__
    return f"{zegclip.__version__} ({done.stdout.strip()})"


@HOOKS.register_module()
class ReportHook(Hook):
    """After each validation and test, write ``report.json`` into the work dir.

    Does nothing where :class:`ZeroShotIoUMetric` is not among the metrics.

    Args:
        filename: in the work dir.
    """

    # Before VocabularyHook, which after a validation gives the model the training's vocabulary
    # back: the protocol is the validation's.
    priority = "HIGHEST"

    def __init__(self, filename: str = "report.json") -> None:
        self.filename = filename

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Write the validation's numbers."""
        self._write(runner, runner.val_loop, "validation")

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Write the test's numbers."""
        self._write(runner, runner.test_loop, "test")

    def _write(self, runner: Runner, loop: Any, stage: str) -> None:
        # Only the main process has the numbers of all.
        if not is_main_process():
            return
        found = [m for m in loop.evaluator.metrics if isinstance(m, ZeroShotIoUMetric)]
        if not found or found[0].summary is None:
            return
        dataset = loop.dataloader.dataset
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        protocol = {
            **data_protocol(dataset.metainfo, len(dataset)),
            **(model.protocol() if hasattr(model, "protocol") else {}),
            "stage": stage,
            # After training in the same process; otherwise the checkpoint says which model it is.
            "iteration": runner.iter or None,
            "checkpoint": runner._load_from,
            "code": code_version(),
        }
        path = Path(runner.work_dir) / self.filename
        write_report(path, found[0].summary, protocol)
        runner.logger.info(f"numbers and protocol: {path}")
