"""tools/compare_methods.py: equal budgets, fair choices, what is written; runs are stood in."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from mini_benchmark.training_runs import TrainingRun
from mmengine.config import Config

from tools import compare_methods
from tools.compare_methods import VARIANTS
from zegclip.errors import InputError

OFFSETS = {"pAcc": 10.0, "mIoU_S": 5.0, "mIoU_U": -5.0, "hIoU": 0.0}


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[TrainingRun]:
    """The runs that were trained; each leaves the files that a training leaves."""
    runs: list[TrainingRun] = []

    def train_all(wanted: list[TrainingRun], jobs: int, done: Callable[..., None]) -> int:
        for run in [run for run in wanted if run.report() is None]:
            runs.append(run)
            rate = run.options["optim_wrapper.optimizer.lr"]
            # hIoU is best at 2e-3; every other score at another rate.
            scores = {
                key: 50 + offset + run.seed % 10 - abs(rate - 2e-3) + offset * rate
                for key, offset in OFFSETS.items()
            }
            iteration = run.options["train_cfg.max_iters"]
            run.folder.mkdir(parents=True, exist_ok=True)
            config = run.resolved()
            config.randomness = {"seed": run.seed}
            config.dump(run.folder / run.config.name)
            report = {**scores, "protocol": {"iteration": iteration, "code": "1 (abc)"}}
            (run.folder / "report.json").write_text(json.dumps(report))
            state = {"decode_head.weight": torch.zeros(7), "clip_fingerprint": torch.zeros(32)}
            torch.save({"state_dict": state}, run.checkpoint)
            done(run, run.report())
        return 0

    monkeypatch.setattr(compare_methods, "train_all", train_all)
    monkeypatch.setattr(compare_methods, "timing", lambda runs: dict.fromkeys(runs, 0.5))
    return runs


def compare(folder: Path, *more: str) -> dict[str, Any]:
    arguments = ["--work-dir", str(folder / "runs"), "--jobs", "2", *more]
    assert compare_methods.main([*arguments, "--seeds", "3", "--iterations", "7"]) == 0
    return json.loads((folder / "runs" / "results.json").read_text())


def test_every_method_is_searched_alike_and_the_table_uses_other_seeds(
    trained: list[TrainingRun], tmp_path: Path
) -> None:
    results = compare(tmp_path)
    searches = results["search"]["methods"]
    assert set(searches) == {"zegclip", "tagclip", "ldvc"}
    rates = [
        [c["options"]["optim_wrapper.optimizer.lr"] for c in candidates]
        for candidates in searches.values()
    ]
    assert rates[0] == rates[1] == rates[2] and len(set(rates[0])) == len(rates[0]) > 2
    assert list(results["variants"]) == list(VARIANTS)
    for name, found in results["variants"].items():
        assert [run["seed"] for run in found["runs"]] == [0, 1, 2]
        assert found["settings"]["optim_wrapper.optimizer.lr"] == 2e-3  # the search's best hIoU
        assert found["hIoU"]["mean"] == pytest.approx(51)
        assert found["hIoU"]["std"] == pytest.approx(statistics.stdev([50, 51, 52]))
        assert found["learnable_parameters"] == 7
        for run in found["runs"]:
            assert f"--seed={run['seed']}" in run["command"] and "lr=0.002" in run["command"]
            assert f"configs/{VARIANTS[name].method}_mini_inductive.py" in run["command"]
            assert run["code"] == "1 (abc)"
    searched = {run.seed for run in trained if "search" in run.name}
    assert len(searched) == 1 and not searched & {0, 1, 2}
    assert {run.options["train_cfg.max_iters"] for run in trained} == {7}
    leaking = [name for name, found in results["variants"].items() if found["leaks"]]
    assert leaking == ["tagclip_unseen_gt"]


def test_what_is_done_is_not_done_again(trained: list[TrainingRun], tmp_path: Path) -> None:
    first = compare(tmp_path, "--variants", "zegclip")
    count = len(trained)
    assert compare(tmp_path, "--variants", "zegclip")["variants"] == first["variants"]
    assert len(trained) == count
    # More variants reuse the search.
    compare(tmp_path, "--variants", "zegclip", "ldvc", "ldvc_without_lcsa")
    names = [run.name for run in trained[count:]]
    assert not any("zegclip" in name for name in names)
    assert names.count("ldvc_without_lcsa") == 3


@pytest.mark.parametrize("name", VARIANTS)
def test_variants_change_what_is_there(name: str) -> None:
    """An option of a variant that the config does not know would silently do nothing."""
    variant = VARIANTS[name]
    config = Config.fromfile(compare_methods.mini_config(variant.method))
    for key, value in (variant.options | compare_methods.budget(400)).items():
        at: Any = config
        *path, last = key.split(".")
        for part in path:
            at = at[int(part)] if part.isdigit() else at[part]
        assert last in at or last == "trusty_target", f"{key} is not in {config.filename}"
        assert at.get(last) != value
    if name == "tagclip_unseen_gt":
        assert config.train_dataloader.dataset.pipeline[2].type == "HideUnseenLabels"


def test_a_part_of_the_table_is_not_recorded(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        compare_methods.parse_args(["--record", "--variants", "zegclip"])
    assert "leave --variants out" in capsys.readouterr().err


def test_a_failed_run_ends_it_with_one_message(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(*_: Any) -> int:
        raise InputError("search ldvc 0, seed 1000, failed: see output.txt")

    monkeypatch.setattr(compare_methods, "train_all", fail)
    with pytest.raises(SystemExit, match=r"^error: search ldvc 0, seed 1000, failed"):
        compare_methods.main(["--work-dir", str(tmp_path)])


@pytest.mark.parametrize("option", ["--seeds", "--iterations", "--jobs"])
def test_numbers_below_one_are_refused(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        compare_methods.parse_args([option, "0"])
    assert f"{option} must be at least 1, got 0" in capsys.readouterr().err
