"""tools/run_seeds.py on the mini benchmark, for real: two seeds of two iterations."""

from __future__ import annotations

import json
import statistics
from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import run_seeds
import torch
from support import runs as tool_runs

from zegclip.errors import InputError
from zegclip.files import PROJECT_ROOT, read_checkpoint


@pytest.fixture
def without_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine that has none, in this process and those that it starts."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


@pytest.mark.slow
def test_seeds_are_trained_once_and_summarised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A config of one's own in another folder, with a data set beside it."""
    monkeypatch.chdir(tmp_path)
    base = PROJECT_ROOT / "configs/zegclip_mini_inductive.py"
    Path("scenes").mkdir()
    data = "dict(dataset=dict(data_root='scenes', number=20))"
    Path("mine.py").write_text(
        f"_base_ = {str(base)!r}\ntrain_dataloader = {data}\nval_dataloader = {data}\n"
    )
    options = ["train_cfg.max_iters=2", "train_dataloader.num_workers=1"]
    arguments = ["mine.py", "--seeds", "2", "--work-dir", "mine", "--cfg-options", *options]
    run_seeds.main(arguments)
    assert any(Path("scenes").iterdir())
    results, text = (tmp_path / "mine" / f"results.{end}" for end in ("json", "md"))
    first = results.read_text()
    summary = json.loads(first)
    runs = summary["runs"]
    assert [each["seed"] for each in runs] == [0, 1] and runs[0]["hIoU"] != runs[1]["hIoU"]
    scores = [each["mIoU_U"] for each in runs]
    mean = f"{statistics.mean(scores):.1f} ± {statistics.stdev(scores):.1f}"
    assert mean in text.read_text().splitlines()[2]
    assert summary["scores"]["mIoU_U"]["std"] == pytest.approx(statistics.stdev(scores))
    sofa = [each["per_class"]["sofa"]["IoU"] for each in runs]
    row = next(line for line in text.read_text().splitlines() if line.startswith("| sofa |"))
    spread = f"{statistics.mean(sofa):.1f} ± {statistics.stdev(sofa):.1f}"
    assert row == f"| sofa | unseen | {spread} | {min(sofa):.1f} | {max(sofa):.1f} |"

    (tmp_path / "mine/seed_1/run.json").unlink()  # stopped before it was noted
    run_seeds.main(arguments)
    assert "resumed" in (tmp_path / "mine/seed_1/output.txt").read_text()
    assert results.read_text() == first

    monkeypatch.setattr(tool_runs.subprocess, "Popen", None)  # nothing is trained again
    run_seeds.main(arguments)
    assert results.read_text() == first

    with pytest.raises(InputError, match=r"holds runs with other settings.*\(seed_0, seed_1\)"):
        run_seeds.main([*arguments, "optim_wrapper.optimizer.lr=0.1"])
    assert results.read_text() == first


@pytest.mark.slow
def test_processes_share_the_batch(tmp_path: Path, without_gpus: None) -> None:
    options = ["train_cfg.max_iters=1", "default_hooks.checkpoint.interval=1"]
    options += ["val_dataloader.dataset.number=10", "train_dataloader.num_workers=1"]
    arguments = ["zegclip_mini_inductive", "--seeds=1", "--gpus=2", "--amp"]
    run_seeds.main([*arguments, "--work-dir", str(tmp_path), "--cfg-options", *options])
    (run,) = json.loads((tmp_path / "results.json").read_text())["runs"]
    assert run["command"].startswith("tools/dist_train.sh configs/zegclip_mini_inductive.py 2 ")
    settings = read_checkpoint(tmp_path / "seed_0/iter_1.pth")["meta"]["settings"]
    assert settings["train_dataloader.batch_size"] == 16  # of both
    assert settings["optim_wrapper"]["type"] == "AmpOptimWrapper"


def test_seeds_of_other_images_are_not_averaged(tmp_path: Path) -> None:
    def seed(images: str) -> tool_runs.Run:
        report = dict.fromkeys(run_seeds.COLUMNS, 50.0) | {"per_class": {}}
        report["protocol"] = {"dataset": "mine", "trained_images": images}
        run = SimpleNamespace(
            report=lambda: report, record=dict, command=lambda: ["tools/train.py"]
        )
        return cast("tool_runs.Run", run)

    assert run_seeds.results_of([seed("aa"), seed("aa")], tmp_path, "")["runs"]
    with pytest.raises(InputError, match="the seeds differ in which images they were trained on"):
        run_seeds.results_of([seed("aa"), seed("bb")], tmp_path, "")


def test_a_class_that_a_run_lacks_and_the_order_of_classes() -> None:
    reports = [
        dict.fromkeys(run_seeds.COLUMNS, score)
        | {"per_class": {n: {"IoU": iou, "split": split} for n, iou, split in entries}}
        for score, entries in (
            (30.0, [("cat", 50.0, "seen"), ("dog", 10.0, "unseen"), ("bus", 40.0, "seen")]),
            (32.0, [("dog", 20.0, "unseen"), ("cat", 60.0, "seen")]),
        )
    ]
    summary = run_seeds.summary(reports)
    overall, per_class = run_seeds.tables(summary, 2).split("\n\n")
    assert overall.endswith("| 2 | 31.0 ± 1.4 | 31.0 ± 1.4 | 31.0 ± 1.4 | 31.0 ± 1.4 |")
    assert per_class.splitlines()[2:] == [
        "| dog | unseen | 15.0 ± 7.1 | 10.0 | 20.0 |",
        "| cat | seen | 55.0 ± 7.1 | 50.0 | 60.0 |",
        "| bus | seen | 40.0 | 40.0 | 40.0 |",
    ]
    assert summary["per_class"]["bus"]["std"] is None


def test_self_training_starts_from_the_same_seeds_run(tmp_path: Path) -> None:
    name = "zegclip_mini_inductive"
    starts = [tmp_path / name / f"seed_{seed}" / "iter_250.pth" for seed in (0, 1)]
    for path in starts:
        path.parent.mkdir(parents=True)
        path.touch()
    work_dir = tmp_path / "zegclip_mini_transductive"
    args = Namespace(
        seeds=2, gpus=1, amp=False, cfg_options=None, work_dir=work_dir, unseen=["cat"]
    )
    config = run_seeds.find_config("zegclip_mini_transductive").resolve()
    runs = run_seeds.runs_of(config, args)
    assert [each.start for each in runs] == starts
    assert runs[0].command()[3:5] == ["--unseen", "cat"]
    args.cfg_options = {"load_from": "other.pth"}
    assert [each.start for each in run_seeds.runs_of(config, args)] == [None, None]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("mini_transductive", r"run_seeds\.py configs/zegclip_mini_inductive\.py --seeds 5"),
        ("voc_inductive", "VOC20Dataset: there is no"),
    ],
)
def test_what_is_missing_is_said_before_anything_is_trained(
    config: str, message: str, tmp_path: Path
) -> None:
    options = ["--cfg-options"]
    options += [f"{mode}_dataloader.dataset.data_root={tmp_path}/none" for mode in ("train", "val")]
    arguments = [f"zegclip_{config}", "--work-dir", str(tmp_path / "here"), *options]
    with pytest.raises(InputError, match=message):
        run_seeds.main(arguments)


@pytest.mark.parametrize("option", ["--seeds", "--gpus", "--jobs"])
def test_none_is_an_error(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run_seeds.main(["zegclip_mini_inductive", option, "0"])
    assert f"{option} 0: at least one" in capsys.readouterr().err


def test_a_batch_that_cannot_be_shared_is_said(without_gpus: None) -> None:
    with pytest.raises(InputError, match="--gpus 3: zegclip_mini_inductive's batch of 16"):
        run_seeds.main(["zegclip_mini_inductive", "--gpus", "3"])
