"""Runs of tools: what is recognised as finished, and what is done again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from support.runs import Run, run_all, share_of_gpus

from tests.tools.fake_runs import FakeRuns
from zegclip.compat import available_cores

RATE = "optim_wrapper.optimizer.lr"
LAST = {"train_cfg.max_iters": 4, "default_hooks.checkpoint.interval": 4}


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeRuns:
    return FakeRuns(monkeypatch)


def pair(folder: Path) -> tuple[Run, Run]:
    """A training, and one that starts from it."""
    first = Run("configs/ldvc_mini_inductive.py", 0, LAST, folder / "first")
    start = first.folder / "iter_4.pth"
    return first, Run("configs/ldvc_mini_transductive.py", 0, LAST, folder / "second", start)


@pytest.mark.parametrize(
    "change", ["none", "options", "seed", "report", "note", "start", "checkpoint", "weights"]
)
def test_what_is_not_this_run_is_done_again(
    change: str, fake: FakeRuns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = pair(tmp_path)
    assert run_all([first, second]) == []
    assert f"load_from={second.start}" in fake.commands[1]
    again = [1]
    if change == "options":
        second = replace(second, options=LAST | {RATE: 0.1})
    elif change == "seed":
        second = replace(second, seed=1)
    elif change == "report":
        (second.folder / "report.json").write_text('{"hIoU": 5')
    elif change == "note":
        (second.folder / "run.json").unlink()
    elif change == "start":  # what it starts from is another one now, and so is it
        first, again = replace(first, seed=1), [0, 1]
    elif change == "checkpoint":  # which nobody needs
        (first.folder / "iter_4.pth").unlink()
        again = []
    elif change == "weights":
        monkeypatch.setattr("support.runs._digest", lambda _: "of other weights")
        again = [0, 1]
    else:
        again = []
    before = len(fake.commands)
    run_all([first, second])
    folders = [Path(command[-1]) for command in fake.commands[before:]]
    assert folders == [(first, second)[number].folder for number in again]
    assert second.report() is not None


def test_judged_or_started_in_another_way_is_another_run(fake: FakeRuns, tmp_path: Path) -> None:
    first, _ = pair(tmp_path)
    weights = {name: tmp_path / f"{name}.pth" for name in "ab"}
    for name, file in weights.items():
        file.write_text(name)
    for option in (
        {},
        {"model.test_cfg.mode": "slide"},
        {"val_dataloader.dataset.split": "selection"},
        {"unseen": ["cat", "dog"]},
        {"load_from": str(weights["a"])},
        {"load_from": str(weights["b"])},
    ):
        before, options = len(fake.commands), dict(option)
        unseen = options.pop("unseen", ())
        changed = replace(first, options=LAST | options, unseen=unseen)
        assert run_all([changed]) == [] and run_all([changed]) == []
        assert len(fake.commands) == before + 1, option


def test_a_checkpoint_that_was_not_copied_is_made_again(fake: FakeRuns, tmp_path: Path) -> None:
    first, second = pair(tmp_path)
    run_all([first])
    (first.folder / "iter_4.pth").unlink()
    run_all([first, second])
    names = [Path(command[-1]).name for command in fake.commands]
    assert names == ["first", "first", "second"]


def test_jobs_share_the_cores_and_wait_for_each_other(fake: FakeRuns, tmp_path: Path) -> None:
    first, second = pair(tmp_path)
    third = replace(first, seed=2, folder=tmp_path / "third")
    run_all([first, second, third], jobs=2)
    assert [Path(command[-1]).name for command in fake.commands] == ["first", "third", "second"]
    cores = available_cores()
    assert {each["OMP_NUM_THREADS"] for each in fake.environments} == {str(max(1, cores // 2))}


def test_a_training_that_was_not_judged_at_its_end_has_failed(
    fake: FakeRuns, tmp_path: Path
) -> None:
    first, _ = pair(tmp_path)
    first.folder.mkdir()
    (first.folder / "report.json").write_text('{"protocol": {"iteration": 2, "max_iters": 4}}')
    assert not first.finish(0) and first.report() is None
    (first.folder / "last_checkpoint").write_text(str(first.folder / "iter_2.pth"))  # by a hook
    assert not first.finish(1) and first.finish(0) and first.report() is not None


def test_a_folder_with_another_run_is_known(fake: FakeRuns, tmp_path: Path) -> None:
    first = replace(pair(tmp_path)[0], resume=True)
    assert run_all([first]) == [] and fake.commands[0][-3] == "--resume"
    changed = replace(first, options=LAST | {RATE: 0.1})
    assert changed.began_otherwise() and not first.began_otherwise()
    (first.folder / "begun.json").unlink()  # as of runs that were made before there was any
    assert changed.began_otherwise() and not first.began_otherwise()
    (first.folder / "iter_4.pth").unlink()  # its results are there
    assert changed.began_otherwise()
    (first.folder / "run.json").unlink()
    (first.folder / "begun.json").write_text("{}")  # it ended in its first iteration
    assert not changed.began_otherwise()


def test_what_started_from_a_checkpoint_that_was_made_anew_is_done_again(
    fake: FakeRuns, tmp_path: Path
) -> None:
    first, second = pair(tmp_path)
    assert run_all([first, second]) == [] and second.report() is not None
    second.start.unlink()  # as in a copy that is without checkpoints
    assert second.report() is not None
    report = json.loads((first.folder / "report.json").read_text())
    (first.folder / "report.json").write_text(json.dumps(report | {"hIoU": 12.3}))  # by other code
    assert second.report() is None


def test_another_file_to_start_from_is_another_run(fake: FakeRuns, tmp_path: Path) -> None:
    first, second = pair(tmp_path)
    second = replace(second, resume=True)
    assert run_all([first, second]) == [] and not second.began_otherwise()
    other = second.start.with_name("iter_5.pth")
    other.write_text("of other weights")
    assert replace(second, start=other).began_otherwise()


@pytest.mark.parametrize(
    ("count", "seen", "expected"),
    [
        (0, None, [None, None, None, None]),
        (1, None, ["0", "0", "0", "0"]),
        (8, None, ["0", "1", "0", "1"]),  # what ends makes place
        (3, "4,6,7", ["4", "6", "4", "6"]),
    ],
)
def test_runs_share_the_gpus_in_turn(
    count: int, seen: str | None, expected: list[str | None], fake: FakeRuns, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if seen:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", seen)
    monkeypatch.setattr("torch.cuda.device_count", lambda: count)
    config = "configs/zegclip_mini_inductive.py"
    run_all([Run(config, seed, LAST, tmp_path / str(seed)) for seed in range(4)], jobs=2)
    assert [each.get("CUDA_VISIBLE_DEVICES") for each in fake.environments] == expected


def test_each_run_of_several_processes_has_its_own_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 8)
    shares = [share_of_gpus(place, 3) for place in range(3)]
    assert shares == [["0", "1", "2"], ["3", "4", "5"], ["6", "7", "0"]]
