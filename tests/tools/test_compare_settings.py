"""tools/compare_settings.py: who starts from whom, what is written; and self-training for real."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mini_benchmark.training_runs import TrainingRun

from tools import compare_settings
from zegclip.errors import InputError

MEANS = {"inductive": 40.0, "transductive": 50.0, "supervised": 60.0}


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[TrainingRun]:
    """The runs that were trained; each leaves the files that a training leaves."""
    runs: list[TrainingRun] = []

    def train_all(wanted: list[TrainingRun], jobs: int, done: Callable[..., None]) -> int:
        for run in [run for run in wanted if run.report() is None]:
            runs.append(run)
            run.folder.mkdir(parents=True, exist_ok=True)
            config = run.resolved()
            config.randomness = {"seed": run.seed}
            config.dump(run.folder / run.config.name)
            value = MEANS[run.name.split()[1]] + run.seed
            scores = dict.fromkeys(("pAcc", "mIoU_S", "mIoU_U", "hIoU"), value)
            iteration = run.options["train_cfg.max_iters"]
            report = {**scores, "protocol": {"iteration": iteration, "code": "1 (abc)"}}
            (run.folder / "report.json").write_text(json.dumps(report))
            run.checkpoint.touch()
            done(run, report)
        return 0

    monkeypatch.setattr(compare_settings, "train_all", train_all)
    return runs


def compare(folder: Path, *more: str) -> dict[str, Any]:
    assert compare_settings.main(["--work-dir", str(folder / "runs"), *more]) == 0
    return json.loads((folder / "runs" / "results.json").read_text())


def test_each_transductive_run_starts_from_its_seeds_inductive_one(
    trained: list[TrainingRun], tmp_path: Path
) -> None:
    results = compare(tmp_path, "--seeds", "2")
    assert list(results["rows"]) == [
        f"{method}_mini_{setting}"
        for method in ("zegclip", "tagclip", "ldvc")
        for setting in ("inductive", "transductive")
    ]
    starts = [run for run in trained if "transductive" in run.name]
    assert len(starts) == 6
    for run in starts:
        method = run.name.split()[0]
        inductive = f"{method}_mini_inductive/seed_{run.seed}/iter_500.pth"
        assert run.options["load_from"].endswith(inductive)
        assert run.options["train_cfg.max_iters"] == 500
    row = results["rows"]["ldvc_mini_transductive"]
    assert row["mIoU_U"]["mean"] == 50.5 and len(row["runs"]) == 2
    assert str(tmp_path) not in json.dumps(results)

    count = len(trained)
    compare(tmp_path, "--seeds", "2", "--supervised")
    assert [run.name for run in trained[count:]] == [
        f"{method} supervised" for _ in range(2) for method in ("zegclip", "tagclip", "ldvc")
    ]


@pytest.mark.parametrize("more", [["--methods", "ldvc"], ["--iterations", "4"]])
def test_only_the_whole_table_is_recorded(
    more: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        compare_settings.parse_args(["--record", *more])
    assert "all methods and the configs as they are" in capsys.readouterr().err


def test_a_failed_run_ends_it_with_one_message(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(*_: Any) -> int:
        raise InputError("ldvc inductive, seed 0, failed: see output.txt")

    monkeypatch.setattr(compare_settings, "train_all", fail)
    with pytest.raises(SystemExit, match=r"^error: ldvc inductive, seed 0, failed"):
        compare_settings.main(["--work-dir", str(tmp_path)])


@pytest.mark.slow
def test_self_training_for_real(tmp_path: Path) -> None:
    """A few iterations of the real thing, from the named checkpoint, with its line in the log."""
    results = compare(tmp_path, "--methods", "tagclip", "--seeds", "1", "--iterations", "4")
    assert 0 <= results["rows"]["tagclip_mini_transductive"]["hIoU"]["mean"] <= 100
    runs = tmp_path / "runs"
    runs /= "4_iterations"
    output = (runs / "tagclip_mini_transductive" / "seed_0" / "output.txt").read_text()
    start = runs / "tagclip_mini_inductive" / "seed_0" / "iter_2.pth"
    assert f"Load checkpoint from {start}" in output
    line = next(line for line in output.splitlines() if "pseudo-labelled pixels" in line)
    for name in ("pottedplant", "sheep", "sofa", "train", "tvmonitor"):
        assert name in line
    assert "aeroplane" not in line
    report = json.loads((runs / "tagclip_mini_transductive" / "seed_0" / "report.json").read_text())
    protocol = report["protocol"]
    assert protocol["setting"] == "transductive" and protocol["trusty_weighting"] == "none"
    assert protocol["gamma"] == 0 and protocol["seed"] == 0
