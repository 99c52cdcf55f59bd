"""Which reports are one row, on reports as the hook writes them and as older code did."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from zegclip.evaluation.summary import (
    Report,
    SummaryRow,
    differences,
    read_reports,
    repeated_seeds,
    summarise,
)

PROTOCOL: dict[str, Any] = {
    "dataset": "two things",
    "setting": "inductive",
    "unseen": ["cat"],
    "stage": "validation",
    "iteration": 20,
    "max_iters": 20,
    "config": "zegclip_two",
    "training": "0123456789ab",
}
# What reports did not say before there were fingerprints.
OLD = {"max_iters": None, "config": None, "training": None}
NEW_KEYS = {"pAcc": 90.0, "mIoU_S": 80.0, "hIoU": 70.0}


def write(folder: Path, score: float, seed: int | None = None, **protocol: Any) -> None:
    folder.mkdir(parents=True)
    content = {**NEW_KEYS, "mIoU_U": score, "protocol": PROTOCOL | {"seed": seed} | protocol}
    (folder / "report.json").write_text(json.dumps(content))


def dump(folder: Path, rate: float = 0.1, seed: int = 0, max_iters: int = 20) -> None:
    """The part of a run's dumped config that is read."""
    (folder / "zegclip_two.py").write_text(
        f"optim_wrapper = dict(optimizer=dict(lr={rate}))\n"
        f"randomness = dict(deterministic=False, seed={seed})\n"
        f"train_cfg = dict(max_iters={max_iters}, type='IterBasedTrainLoop')\n"
    )


def rows(folder: Path) -> list[SummaryRow]:
    reports, problems = read_reports([folder])
    assert not problems
    return summarise(reports)


def only(folder: Path) -> Report:
    (report,), problems = read_reports([folder])
    assert not problems
    return report


def test_old_reports_are_one_row_where_their_dumped_configs_differ_in_the_seed_alone(
    tmp_path: Path,
) -> None:
    for seed, score in enumerate([70.0, 72.0]):
        write(tmp_path / f"seed_{seed}", score, **OLD)
        dump(tmp_path / f"seed_{seed}", seed=seed)
    write(tmp_path / "other_rate", 50.0, **OLD)
    dump(tmp_path / "other_rate", rate=0.2)
    found = rows(tmp_path)
    assert sorted(len(row.runs) for row in found) == [1, 2]
    several = next(row for row in found if len(row.runs) == 2)
    assert [run.seed for run in several.runs] == [0, 1]
    assert several.mean("mIoU_U") == 71 and several.std("mIoU_U") == pytest.approx(2**0.5)
    (line,) = differences(found)
    assert "recipe.optim_wrapper.optimizer.lr (0." in line and "max_iters" not in line


def test_runs_of_which_nothing_says_how_they_were_trained_are_not_averaged(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / name, 70.0, **OLD | {"config": "zegclip_two"})
    found = rows(tmp_path)
    assert [len(row.runs) for row in found] == [1, 1]
    (line,) = differences(found)
    assert line.startswith("zegclip_two: nothing says how") and str(tmp_path / "b") in line


def test_a_config_that_cannot_be_read_as_data_is_not_run(tmp_path: Path) -> None:
    write(tmp_path / "a", 70.0, **OLD)
    (tmp_path / "a" / "zegclip_two.py").write_text(
        f"open({str(tmp_path / 'proof')!r}, 'w')\ntrain_cfg = dict(max_iters=5)\n"
    )
    report = only(tmp_path)
    assert report.config == "zegclip_two" and report.max_iters is None and report.training == ""
    assert not (tmp_path / "proof").exists()


@pytest.mark.parametrize(
    ("protocol", "iteration", "finished"),
    [
        ({}, 20, True),
        ({"iteration": 10}, 10, False),
        ({"iteration": None}, None, False),
        ({"iteration": 10, "max_iters": None}, 10, False),  # the dumped config says how long
        ({"stage": "test", "iteration": 10}, 10, False),
        ({"stage": "test", "iteration": None, "checkpoint": "w/iter_10.pth"}, 10, False),
        ({"stage": "test", "iteration": None, "checkpoint": "w/iter_20.pth"}, 20, True),
        ({"stage": "test", "iteration": None, "checkpoint": "w/mine.pth"}, None, True),
    ],
)
def test_models_in_the_middle_of_their_training_are_unfinished(
    protocol: dict[str, Any], iteration: int | None, finished: bool, tmp_path: Path
) -> None:
    write(tmp_path / "a", 70.0, 0, **protocol)
    dump(tmp_path / "a")
    report = only(tmp_path)
    assert (report.iteration, report.max_iters, report.finished) == (iteration, 20, finished)
    assert len(summarise([report])) == int(finished)


def test_a_config_without_training_has_no_length(tmp_path: Path) -> None:
    write(tmp_path / "a", 70.0, 0, stage="test", iteration=80, max_iters=None)
    assert only(tmp_path).finished


def test_a_seed_that_is_counted_twice_is_said(tmp_path: Path) -> None:
    write(tmp_path / "a", 70.0, 0)
    write(tmp_path / "b", 70.1, 0)
    write(tmp_path / "c", 71.0, 1)
    (row,) = rows(tmp_path)
    assert [run.seed for run in row.runs] == [0, 0, 1]
    (line,) = repeated_seeds([row])
    assert "seed 0 is counted 2 times" in line and f"{tmp_path / 'a'}, {tmp_path / 'b'}" in line


def test_seeds_are_sorted_as_numbers(tmp_path: Path) -> None:
    for seed in (10, 2, 0):
        write(tmp_path / str(seed), 70.0 + seed, seed)
    assert [run.seed for run in rows(tmp_path)[0].runs] == [0, 2, 10]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"pAcc": float("nan")}, "it holds NaN"),
        ({"pAcc": None}, "TypeError"),
        ({"protocol": {}}, "no protocol"),
        ({"protocol": 5}, "no protocol"),
        ({"protocol": PROTOCOL | {"iteration": "20"}}, "protocol.iteration is '20'"),
        ({"protocol": PROTOCOL | {"seed": True}}, "protocol.seed is True"),
        ({"protocol": PROTOCOL | {"unseen": 5}}, "protocol.unseen is 5"),
    ],
)
def test_what_is_no_report_is_left_out_and_named(
    change: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    write(tmp_path / "sound", 70.0, 0)
    write(tmp_path / "other", 70.0, 0)
    file = tmp_path / "other" / "report.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    reports, problems = read_reports([tmp_path])
    assert [report.folder.name for report in reports] == ["sound"]
    (problem,) = problems
    assert str(file) in problem and reason in problem


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[]", b'{"pAcc": 9', b""])
def test_half_written_files_are_left_out_and_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "report.json").write_bytes(content)
    reports, (problem,) = read_reports([tmp_path])
    assert not reports and str(tmp_path / "report.json") in problem
