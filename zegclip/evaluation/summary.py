"""Reports of many runs in one table: mean and standard deviation over the seeds."""

from __future__ import annotations

import json
import math
import re
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zegclip.datasets import COCOStuff171Dataset, Context59Dataset, VOC20Dataset
from zegclip.datasets.files import first_few

from .dumped_config import read_dumped_config
from .protocol import (
    OF_THE_RUN,
    protocol_fingerprint,
    training_fingerprint,
    training_settings,
)

# The unseen classes that published numbers are of, by data set.
_KINDS_OF_DATA: tuple[Any, ...] = (VOC20Dataset, COCOStuff171Dataset, Context59Dataset)
SPLITS: dict[str, set[str]] = {
    kind.METAINFO["dataset_name"]: set(kind.METAINFO["unseen"]) for kind in _KINDS_OF_DATA
}
SCORES = ("pAcc", "mIoU_S", "mIoU_U", "hIoU", "mIoU")


@dataclass(frozen=True)
class Report:
    """One ``report.json``.

    Attributes:
        folder: where it lies.
        config: name of the config.
        scores: in percent, those that exist.
        protocol: what they depend on.
        dumped: the run's complete config, for what old reports do not say; empty where it is
            not there.
    """

    folder: Path
    config: str
    scores: Mapping[str, float]
    protocol: Mapping[str, Any]
    dumped: Mapping[str, Any] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """Of the protocol; computed anew, so that old reports have one too."""
        return protocol_fingerprint(self.protocol)

    @property
    def training(self) -> str:
        """Fingerprint of how it was trained; empty where nothing says."""
        known = self.protocol.get("training")
        if not known and self.dumped.get("train_cfg"):
            known = training_fingerprint(self.dumped)
        return str(known or "")

    @property
    def seed(self) -> int | None:
        """Of the training; ``None`` where nothing says."""
        seed = self.protocol.get("seed")
        return _entry(self.dumped, "randomness", "seed") if seed is None else seed

    @property
    def iteration(self) -> int | None:
        """After which the model was evaluated; ``None`` where nothing says."""
        if self.protocol.get("iteration") is not None:
            return self.protocol["iteration"]
        name = re.fullmatch(r"iter_(\d+)", Path(self.protocol.get("checkpoint") or "").stem)
        return int(name[1]) if name else None

    @property
    def max_iters(self) -> int | None:
        """How long the training is; ``None`` where nothing says."""
        known = self.protocol.get("max_iters")
        return known if known is not None else _entry(self.dumped, "train_cfg", "max_iters")

    @property
    def finished(self) -> bool:
        """False for a model in the middle of its training, validated there or tested later."""
        if self.max_iters is None:
            return True
        if self.iteration is None:  # a test of a checkpoint with another name
            return self.protocol.get("stage") != "validation"
        return self.iteration >= self.max_iters

    def record(self) -> dict[str, Any]:
        """What is written down of the run."""
        run = {"seed": self.seed, "iteration": self.iteration}
        said = {key: self.protocol.get(key) for key in ("deterministic", "stage", "code")}
        return run | said | dict(self.scores)


def _entry(config: Mapping[str, Any], name: str, key: str) -> int | None:
    section = config.get(name)
    value = section.get(key) if isinstance(section, Mapping) else None
    return value if isinstance(value, int) else None


@dataclass(frozen=True)
class SummaryRow:
    """Runs of one config, trained alike and judged by one protocol.

    Attributes:
        config: name of the config.
        runs: at least one, by seed.
    """

    config: str
    runs: tuple[Report, ...]

    @property
    def protocol(self) -> Mapping[str, Any]:
        """Of the first run; the same in all, but for what differs between runs."""
        return self.runs[0].protocol

    @property
    def fingerprint(self) -> str:
        """Of the protocol."""
        return self.runs[0].fingerprint

    def mean(self, score: str) -> float | None:
        """Over the runs, in percent; ``None`` where a run lacks it."""
        values = [run.scores.get(score) for run in self.runs]
        return None if None in values else statistics.fmean(v for v in values if v is not None)

    def std(self, score: str) -> float | None:
        """Of a sample (n - 1); ``None`` for one run, or where one lacks it."""
        if len(self.runs) < 2 or self.mean(score) is None:
            return None
        return statistics.stdev(run.scores[score] for run in self.runs)

    def published(self, rows: Iterable[Mapping[str, Any]]) -> Mapping[str, Any] | None:
        """The row of a method's paper with this data set, setting and split.

        Args:
            rows: published results, with ``method`` (the config's name begins with it, in lower
                case), ``setting`` and ``dataset``.
        """
        protocol, method = self.protocol, self.config.partition("_")[0]
        for row in rows:
            if (
                row["method"].lower() == method
                and row["setting"] == protocol.get("setting")
                and row["dataset"] == protocol.get("dataset")
                and SPLITS.get(row["dataset"]) == set(protocol.get("unseen") or ())
            ):
                return row
        return None


def read_reports(folders: Sequence[Path]) -> tuple[list[Report], list[str]]:
    """All ``report.json`` in and below folders.

    Args:
        folders: each a work dir, or a folder of them.

    Returns:
        The reports, by path, and a message for each that cannot be read.
    """
    paths = {path.resolve(): path for folder in folders for path in folder.rglob("report.json")}
    reports, problems = [], []
    for path in sorted(paths.values()):
        try:
            reports.append(_read_report(path))
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            problems.append(f"{path} is no report of ours and is left out ({error!r})")
    return reports, problems


# What the protocol of a report holds, where it holds it.
_KINDS: dict[str, type] = {
    "dataset": str,
    "setting": str,
    "unseen": list,
    "stage": str,
    "config": str,
    "checkpoint": str,
    "iteration": int,
    "max_iters": int,
    "seed": int,
}


def _read_report(path: Path) -> Report:
    content = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse)
    protocol = content["protocol"]
    scores = {key: float(content[key]) for key in SCORES if key in content}
    if not scores or not all(math.isfinite(score) for score in scores.values()):
        raise ValueError("no scores, or one is not finite")
    if not isinstance(protocol, dict) or not {"dataset", "setting"} <= set(protocol):
        raise ValueError("no protocol")
    for key, kind in _KINDS.items():
        value = protocol.get(key)
        if value is not None and (not isinstance(value, kind) or isinstance(value, bool)):
            raise ValueError(f"protocol.{key} is {value!r}")
    name, dumped = _config_of(path.parent, protocol)
    return Report(path.parent, name, scores, protocol, dumped)


def _refuse(constant: str) -> None:
    raise ValueError(f"it holds {constant}")


def _config_of(folder: Path, protocol: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Name and content of the config that mmengine dumped into a work dir, if it did.

    Scores of another system's predictions are named after their folder: the config is only the
    data set's, and two systems are not two runs.
    """
    name = protocol.get("config")
    if predictions := protocol.get("predictions"):
        return f"{predictions} (predictions, {name})", {}
    files = sorted(folder.glob("*.py"), key=lambda path: path.stat().st_mtime)
    if name:
        files = [path for path in files if path.stem == name]
    if not files:
        return name or folder.name, {}
    try:
        return files[-1].stem, read_dumped_config(files[-1])
    except ValueError:
        return files[-1].stem, {}


def summarise(reports: Iterable[Report]) -> list[SummaryRow]:
    """Put together what differs in nothing but the seed; finished runs only.

    One run that left several reports (validated, then tested elsewhere) counts once: those with
    equal seeds and scores. A run of which nothing says how it was trained is a row by itself.
    """
    groups: dict[tuple[str, str, str], dict[Any, Report]] = {}
    for report in reports:
        if not report.finished:
            continue
        training = report.training or str(report.folder)
        same_run = (report.seed, tuple(report.scores.values()))
        run = report.folder if report.seed is None else same_run
        group = groups.setdefault((report.config, report.fingerprint, training), {})
        group[run] = report
    return [
        SummaryRow(config, tuple(sorted(runs.values(), key=_by_seed)))
        for (config, _, _), runs in sorted(groups.items())
    ]


def _by_seed(report: Report) -> tuple[bool, int, str]:
    return report.seed is None, report.seed or 0, str(report.folder)


def repeated_seeds(rows: Iterable[SummaryRow]) -> list[str]:
    """For rows that hold a seed more than once: a line each, because their n may be too large."""
    lines = []
    for row in rows:
        counts = Counter(run.seed for run in row.runs if run.seed is not None)
        for seed in (seed for seed, count in counts.items() if count > 1):
            places = ", ".join(str(run.folder) for run in row.runs if run.seed == seed)
            lines.append(
                f"{row.config}: seed {seed} is counted {counts[seed]} times, with other scores "
                f"each ({places}): where that is one model, name only one of the folders"
            )
    return lines


def differences(rows: Sequence[SummaryRow]) -> list[str]:
    """For configs with several rows: in what they differ, a line each."""
    lines = []
    for config in dict.fromkeys(row.config for row in rows):
        same = [row for row in rows if row.config == config]
        for other in same[1:]:
            keys = sorted(set(same[0].protocol) | set(other.protocol))
            parts = [
                f"{key} ({_short(same[0].protocol.get(key))} / {_short(other.protocol.get(key))})"
                for key in keys
                if key not in OF_THE_RUN and same[0].protocol.get(key) != other.protocol.get(key)
            ]
            if parts:
                names = f"{same[0].fingerprint} and {other.fingerprint}"
                lines.append(f"{config}: protocols {names} differ in {', '.join(parts)}")
            one, another = same[0].runs[0], other.runs[0]
            if unknown := [run.folder for run in (one, another) if not run.training]:
                places = ", ".join(map(str, unknown))
                lines.append(f"{config}: nothing says how {places} was trained")
            elif one.training != another.training:
                changes = _training_differences(one.dumped, another.dumped)
                lines.append(
                    f"{config}: {one.folder} and {another.folder} were trained with other "
                    f"settings{': ' + changes if changes else ''}"
                )
    return lines


def _training_differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """The first few settings in which two dumped configs differ; empty where one is not there."""
    if not one or not other:
        return ""
    first, second = _leaves(training_settings(one)), _leaves(training_settings(other))
    changed = [key for key in {**first, **second} if first.get(key) != second.get(key)]
    return first_few(
        [f"{key} ({_short(first.get(key))} / {_short(second.get(key))})" for key in changed]
    )


def _leaves(value: Any, name: str = "") -> dict[str, Any]:
    """Nested mappings and lists as one mapping with dotted names."""
    if isinstance(value, Mapping):
        items: Iterable[tuple[Any, Any]] = value.items()
    elif isinstance(value, (list, tuple)):
        items = enumerate(value)
    else:
        return {name: value}
    leaves: dict[str, Any] = {}
    for key, item in items:
        leaves |= _leaves(item, f"{name}.{key}" if name else str(key))
    return leaves


def _short(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 40 else text[:37] + "..."
