"""tools/compare_methods.py: equal budgets, what is resumed, what is written; runs are stood in."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config

from tools import compare_methods
from tools.compare_methods import VARIANTS, Run


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[Run]:
    """The runs that were trained; each leaves the files that a training leaves."""
    runs: list[Run] = []

    def train(run: Run, place: int) -> None:
        runs.append(run)
        rate = run.options["optim_wrapper.optimizer.lr"]
        scores = dict.fromkeys(compare_methods.SCORES, 50 + run.seed % 10 - abs(rate - 2e-3))
        run.folder.mkdir(parents=True, exist_ok=True)
        iteration = run.options["train_cfg.max_iters"]
        report = {**scores, "protocol": {"iteration": iteration}}
        (run.folder / "report.json").write_text(json.dumps(report))
        (run.folder / "command.json").write_text(json.dumps(run.command))
        state = {"decode_head.weight": torch.zeros(7), "clip_fingerprint": torch.zeros(32)}
        torch.save({"state_dict": state}, run.folder / f"iter_{iteration}.pth")

    monkeypatch.setattr(compare_methods, "train", train)
    monkeypatch.setattr(compare_methods, "timing", lambda runs: dict.fromkeys(runs, 0.5))
    return runs


def compare(folder: Path, *more: str) -> dict[str, Any]:
    out = folder / "mini.json"
    arguments = ["--work-dir", str(folder / "runs"), "--out", str(out), "--jobs", "2", *more]
    assert compare_methods.main([*arguments, "--seeds", "3", "--iterations", "7"]) == 0
    return json.loads(out.read_text())


def test_every_method_is_searched_alike_and_the_table_uses_other_seeds(
    trained: list[Run], tmp_path: Path
) -> None:
    results = compare(tmp_path)
    searches = results["search"]["methods"]
    assert set(searches) == {"zegclip", "tagclip", "ldvc"}
    rates = [
        [c["options"]["optim_wrapper.optimizer.lr"] for c in candidates]
        for candidates in searches.values()
    ]
    assert rates[0] == rates[1] == rates[2] and len(set(rates[0])) == len(rates[0])
    assert list(results["variants"]) == list(VARIANTS)
    for entry in results["variants"].values():
        assert [run["seed"] for run in entry["runs"]] == [0, 1, 2]
        assert "lr=0.002" in entry["command"]  # the search's best
        assert entry["hIoU"]["mean"] == pytest.approx(51)
        assert entry["hIoU"]["std"] == pytest.approx(statistics.stdev([50, 51, 52]))
        assert entry["learnable_parameters"] == 7
    searched = {run.seed for run in trained if "search" in run.name}
    assert searched == {results["search"]["seed"]} and not searched & {0, 1, 2}
    lengths = {run.options["train_cfg.max_iters"] for run in trained}
    assert lengths == {7}
    leaking = [name for name, entry in results["variants"].items() if entry["leaks"]]
    assert leaking == ["tagclip_unseen_gt"]


def test_what_is_done_is_not_done_again(trained: list[Run], tmp_path: Path) -> None:
    first = compare(tmp_path, "--variants", "zegclip")
    count = len(trained)
    assert compare(tmp_path, "--variants", "zegclip")["variants"] == first["variants"]
    assert len(trained) == count
    # Another length, a report cut off, a run of other settings: these are.
    folder = tmp_path / "runs" / "zegclip"
    (folder / "seed_0" / "report.json").write_text('{"pAcc": 5')
    (folder / "seed_1" / "command.json").write_text('["tools/train.py"]')
    compare(tmp_path, "--variants", "zegclip")
    assert sorted(run.seed for run in trained[count:]) == [0, 1]


@pytest.mark.parametrize("name", VARIANTS)
def test_variants_change_what_is_there(name: str, tmp_path: Path) -> None:
    """An option of a variant that the config does not know would silently do nothing."""
    variant = VARIANTS[name]
    config = Config.fromfile(compare_methods.mini_config(variant.method))
    for key, value in (variant.options | compare_methods.budget(400)).items():
        at: Any = config
        *path, last = key.split(".")
        for part in path:
            at = at[int(part)] if part.isdigit() else at[part]
        known = last in at or last in ("trusty_target", "max_iters")
        assert known, f"{key} is not in {config.filename}"
        assert at.get(last) != value
    if name == "tagclip_unseen_gt":
        pipeline = config.train_dataloader.dataset.pipeline
        assert pipeline[2].type == "HideUnseenLabels"


def test_a_failed_run_names_its_log(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    options = {**compare_methods.budget(1), "model.decode_head.type": "NoSuchHead"}
    config = compare_methods.mini_config("zegclip")
    run = Run("broken", config, options, 0, tmp_path / "run")
    with pytest.raises(SystemExit, match=r"broken, seed 0, failed: see .*output\.txt"):
        compare_methods.execute([run], jobs=1)
    assert "NoSuchHead" in (tmp_path / "run" / "output.txt").read_text()


@pytest.mark.parametrize("option", ["--seeds", "--iterations", "--jobs"])
def test_numbers_below_one_are_refused(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        compare_methods.parse_args([option, "0"])
    assert f"{option} must be at least 1, got 0" in capsys.readouterr().err
