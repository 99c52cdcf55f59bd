"""Reports of many runs in one table: mean and standard deviation over the seeds."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .protocol import OF_THE_RUN, protocol_fingerprint

SCORES = ("pAcc", "mIoU_S", "mIoU_U", "hIoU", "mIoU")


@dataclass(frozen=True)
class Report:
    """One ``report.json``.

    Attributes:
        folder: where it lies.
        config: name of the config.
        scores: in percent, those that exist.
        protocol: what they depend on.
    """

    folder: Path
    config: str
    scores: Mapping[str, float]
    protocol: Mapping[str, Any]

    @property
    def fingerprint(self) -> str:
        """Of the protocol; computed anew, so that old reports have one too."""
        return protocol_fingerprint(self.protocol)

    @property
    def training(self) -> str:
        """Fingerprint of how it was trained; empty where an old report does not say."""
        return str(self.protocol.get("training") or "")

    @property
    def finished(self) -> bool:
        """False for a validation in the middle of a training."""
        if self.protocol.get("stage") != "validation" or not self.protocol.get("max_iters"):
            return True
        return self.protocol["iteration"] >= self.protocol["max_iters"]

    def record(self) -> dict[str, Any]:
        """What is written down of the run."""
        keys = ("seed", "deterministic", "iteration", "stage", "code")
        return {key: self.protocol.get(key) for key in keys} | dict(self.scores)


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
        """The row of a method's paper with this data set, setting and size of split.

        Args:
            rows: published results, with ``method`` (the config's name begins with it, in lower
                case), ``setting``, ``dataset`` and ``unseen``.
        """
        protocol, method = self.protocol, self.config.partition("_")[0]
        for row in rows:
            if (
                row["method"].lower() == method
                and row["setting"] == protocol.get("setting")
                and row["dataset"] == protocol.get("dataset")
                and row["unseen"] == len(protocol.get("unseen", ()))
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
            content = json.loads(path.read_text(encoding="utf-8"))
            scores = {key: float(content[key]) for key in SCORES if key in content}
            protocol = content["protocol"]
            if not scores or not isinstance(protocol, dict):
                raise ValueError("no scores or no protocol")
            reports.append(
                Report(path.parent, _config_name(path.parent, protocol), scores, protocol)
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            problems.append(f"{path} is no report of ours and is left out ({error!r})")
    return reports, problems


def _config_name(folder: Path, protocol: Mapping[str, Any]) -> str:
    """As the report says; else of the config that mmengine dumped beside it.

    Scores of another system's predictions are named after their folder: the config is only the
    data set's, and two systems are not two runs.
    """
    if predictions := protocol.get("predictions"):
        return f"{predictions} (predictions, {protocol.get('config')})"
    if name := protocol.get("config"):
        return str(name)
    dumped = sorted(folder.glob("*.py"), key=lambda path: path.stat().st_mtime)
    return dumped[-1].stem if dumped else folder.name


def summarise(reports: Iterable[Report]) -> list[SummaryRow]:
    """Put together what differs in nothing but the seed; finished runs only.

    One run that left several reports (validated, then tested elsewhere) counts once: those with
    equal seeds and scores.
    """
    groups: dict[tuple[str, str, str], dict[Any, Report]] = {}
    for report in reports:
        if not report.finished:
            continue
        group = (report.config, report.fingerprint, report.training)
        seed = report.protocol.get("seed")
        run = report.folder if seed is None else (seed, tuple(report.scores.values()))
        groups.setdefault(group, {})[run] = report
    return [
        SummaryRow(config, tuple(sorted(runs.values(), key=lambda r: str(r.protocol.get("seed")))))
        for (config, _, _), runs in sorted(groups.items())
    ]


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
            if same[0].runs[0].training != other.runs[0].training:
                lines.append(
                    f"{config}: {same[0].runs[0].folder} and {other.runs[0].folder} were trained "
                    "with other settings (their dumped configs say which)"
                )
    return lines


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else text[:37] + "..."
