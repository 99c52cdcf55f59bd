"""tools/compare.py: fair choices, what is skipped, what is written; trainings are stood in."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import compare
import pytest
from mmengine.config import Config, DictAction
from support import training_run
from support.training_run import TrainingRun

from zegclip.errors import InputError
from zegclip.evaluation import training_fingerprint
from zegclip.files import PROJECT_ROOT

MEANS = {
    "inductive": 40.0,
    "transductive": 50.0,
    "transductive-all-unlabelled": 45.0,
    "supervised": 60.0,
}


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that were run; each leaves the files that tools/train.py leaves."""
    commands: list[list[str]] = []

    def train(command: list[str], **_: Any) -> SimpleNamespace:
        _, script, config_name, option, work_dir, seed_option, *changes = command
        assert (script, option) == ("tools/train.py", "--work-dir")
        commands.append(command)
        config, seed = Config.fromfile(PROJECT_ROOT / config_name), int(seed_option[7:])
        options = dict(change.split("=") for change in changes[1:])
        config.merge_from_dict({k: DictAction._parse_int_float_bool(v) for k, v in options.items()})
        folder = Path(work_dir)
        if (folder / "fails").exists():
            return SimpleNamespace(returncode=1)
        rate, setting = config.optim_wrapper.optimizer.lr, Path(config_name).stem.split("_")[-1]
        scores = dict.fromkeys(compare.COLUMNS, MEANS[setting] + seed % 10 - rate)
        scores["mIoU_S"] += 2 * min(rate, 3e-3)  # best at 3e-3, all others at the smallest
        protocol = {
            "iteration": config.train_cfg.max_iters,
            "seed": seed,
            "training": training_fingerprint(config.to_dict()),
            "code": "1 (abc)",
        }
        (folder / "report.json").write_text(json.dumps({**scores, "protocol": protocol}))
        log = folder / "date" / "vis_data" / "scalars.json"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text('{"loss": 1, "time": 0.75, "data_time": 0.25}\n{"hIoU": 50, "time": 9}\n')
        for iteration in (config.train_cfg.max_iters // 2, config.train_cfg.max_iters):
            (folder / f"iter_{iteration}.pth").touch()
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(training_run.subprocess, "run", train)
    return commands


def run(folder: Path, *arguments: str) -> dict[str, Any]:
    compare.main([*arguments, "--work-dir", str(folder / "runs")])
    return json.loads((folder / "runs" / "results.json").read_text())


def test_methods_are_searched_alike_on_scenes_and_a_seed_of_their_own(
    trained: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare, "RATES", (1e-3, 3e-3, 5e-3))
    arguments = ["methods", "--seeds", "2", "--iterations", "8"]
    results = run(tmp_path, *arguments)
    searches = results["search"]["methods"]
    rates = [[run["options"][compare.RATE] for run in runs] for runs in searches.values()]
    assert set(searches) == {"zegclip", "tagclip", "ldvc"} and rates == [[1e-3, 3e-3, 5e-3]] * 3
    scenes = "val_dataloader.dataset.split=selection"
    for runs in searches.values():
        assert all(scenes in r["command"] and "--seed=1000" in r["command"] for r in runs)

    assert list(results["variants"]) == list(compare.VARIANTS)
    for name, found in results["variants"].items():
        assert [run["seed"] for run in found["runs"]] == [0, 1]
        assert found["settings"][compare.RATE] == 3e-3  # mIoU(S), not hIoU
        assert found["learnable_parameters"] > 1e5 and found["seconds_per_step"] == 0.5
        for each in found["runs"]:
            assert f"configs/{compare.VARIANTS[name].method}_mini_inductive" in each["command"]
            assert "max_iters=8" in each["command"] and "lr=0.003" in each["command"]
            assert scenes not in each["command"] and each["code"] == "1 (abc)"
    assert [n for n, found in results["variants"].items() if found["leaks"]] == [
        "tagclip_unseen_gt"
    ]
    assert results["variants"]["ldvc"]["published_mIoU_U_on_VOC"] == 82.3

    count = len(trained)
    assert run(tmp_path, *arguments) == results
    assert len(trained) == count  # what is done is not done again


def test_recorded_rates_need_no_search(trained: list[list[str]], tmp_path: Path) -> None:
    arguments = ["methods", "--methods", "tagclip", "--seeds", "1", "--iterations", "8"]
    results = run(tmp_path, *arguments, "--recorded-rates")
    recorded = compare.read("mini")["variants"]["tagclip"]["settings"][compare.RATE]
    assert len(trained) == len(results["variants"]) == 2  # and its ablation
    assert all(f"{compare.RATE}={recorded}" in command for command in trained)


@pytest.mark.parametrize("change", ["options", "seed", "report", "unfinished", "older"])
def test_what_is_not_this_run_is_trained_again(
    change: str, trained: list[list[str]], tmp_path: Path
) -> None:
    start = tmp_path / "start.pth"
    start.touch()
    this = TrainingRun(
        "configs/ldvc_mini_transductive.py", 0, {"train_cfg.max_iters": 4}, tmp_path, start
    )
    training_run.train_all([this, this])
    assert len(trained) == 1 and f"load_from={start}" in trained[0]
    file = tmp_path / "report.json"
    if change == "options":
        this = TrainingRun(this.config, 0, this.options | {compare.RATE: 0.1}, tmp_path, start)
    elif change == "seed":
        this = TrainingRun(this.config, 1, this.options, tmp_path, start)
    elif change == "report":
        file.write_text('{"hIoU": 5')
    elif change == "unfinished":
        file.write_text(file.read_text().replace('"iteration": 4', '"iteration": 2'))
    else:  # than what it starts from
        start.touch()
    training_run.train_all([this])
    assert len(trained) == 2 and this.report() is not None


def test_each_transductive_run_starts_from_its_seeds_inductive_one(
    trained: list[list[str]], tmp_path: Path
) -> None:
    results = run(tmp_path, "settings", "--seeds", "2", "--supervised", "--methods", "ldvc")
    assert list(results["rows"]) == [f"ldvc_mini_{setting}" for setting in MEANS]
    for setting in ("transductive", "transductive-all-unlabelled"):
        runs = results["rows"][f"ldvc_mini_{setting}"]["runs"]
        mean = statistics.fmean(each["mIoU_U"] for each in runs)
        assert mean == pytest.approx(MEANS[setting] + 0.5, abs=0.01)
        for seed, each in enumerate(runs):
            start = f"load_from=WORK_DIR/ldvc_mini_inductive/seed_{seed}/iter_500.pth"
            assert each["command"].endswith(start)
    assert str(tmp_path) not in json.dumps(results)


def test_a_failed_run_names_its_log(trained: list[list[str]], tmp_path: Path) -> None:
    (tmp_path / "fails").touch()
    failing = TrainingRun("configs/zegclip_mini_inductive.py", 0, {}, tmp_path)
    with pytest.raises(
        InputError, match=r"zegclip_mini_inductive\.py, seed 0, failed: see .*output"
    ):
        training_run.train_all([failing])


@pytest.mark.parametrize("name", compare.VARIANTS)
def test_variants_change_what_is_there(name: str) -> None:
    """An option of a variant that the config does not know would silently do nothing."""
    variant = compare.VARIANTS[name]
    config = Config.fromfile(PROJECT_ROOT / "configs" / f"{variant.method}_mini_inductive.py")
    for key, value in variant.options.items():
        at: Any = config
        *path, last = key.split(".")
        for part in path:
            at = at[int(part)] if part.isdigit() else at[part]
        assert last in at or last == "trusty_target", f"{key} is not in {config.filename}"
        assert at.get(last) != value


@pytest.mark.slow
def test_self_training_for_real(tmp_path: Path) -> None:
    """A few iterations of the real thing, from the named checkpoint, with its line in the log."""
    few = {f"{mode}_dataloader.dataset.number": 20 for mode in ("train", "val")}
    few |= {
        f"{mode}_dataloader.dataset.data_root": tmp_path / "scenes" for mode in ("train", "val")
    }
    few |= {"train_cfg.max_iters": 4, "train_dataloader.num_workers": 1}
    inductive = TrainingRun("configs/tagclip_mini_inductive.py", 0, few, tmp_path / "inductive")
    start = inductive.folder / "iter_2.pth"  # at half of its schedule
    folder = tmp_path / "transductive"
    transductive = TrainingRun("configs/tagclip_mini_transductive.py", 0, few, folder, start)
    training_run.train_all([inductive, transductive])
    output = (folder / "output.txt").read_text()
    assert f"from {start}" in output
    line = next(line for line in output.splitlines() if "pseudo-labelled pixels" in line)
    assert "pottedplant" in line and "tvmonitor" in line and "aeroplane" not in line
    report = transductive.report()  # is recognised
    assert report is not None and report["protocol"]["setting"] == "transductive"
    assert report["protocol"]["pseudo_labels"] == "unseen_pixels"
    assert "pseudo labels unseen_pixels" in output  # in the line with the protocol
    assert transductive.seconds_per_step() > 0
