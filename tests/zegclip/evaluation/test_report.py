"""report.json of mmengine's validations and tests."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from mmengine.hooks import CheckpointHook
from mmengine.logging import MMLogger
from mmengine.runner import IterBasedTrainLoop
from mmengine.runner.priority import get_priority
from mmseg.evaluation import IoUMetric

from zegclip.engine import VocabularyHook
from zegclip.errors import InputError
from zegclip.evaluation import (
    ReportHook,
    ZeroShotIoUMetric,
    data_protocol,
    protocol_fingerprint,
    scores,
    write_report,
)
from zegclip.evaluation.protocol import image_names
from zegclip.evaluation.training import training_fingerprint
from zegclip.vocabulary import Vocabulary

META = {
    "classes": ("cat", "tvmonitor"),
    "unseen": ("tvmonitor",),
    "synonyms": {"tvmonitor": ("tv", "monitor")},
    "setting": "inductive",
    "dataset_name": "two things",
    "ignore_rule": "void ignored",
}
PIPELINE = [{"type": "Resize", "scale": (8, 4)}]
MODEL = {"clip": {"model_name": "ViT", "weights": "w.pt"}, "gamma": 0.1, "inference": {"mode": "x"}}


def images(*paths: str) -> Any:
    """What is read of a data set of images."""
    info = {"metainfo": META, "get_data_info": lambda self, index: {"img_path": self[index]}}
    return type("Data", (list,), info)(paths)


def runner(work_dir: Path, metrics: list[Any], model: Any = None) -> Any:
    """What the hook reads of mmengine's runner."""
    dataset = images("a.jpg", "b.jpg", "c.jpg")
    loop = SimpleNamespace(
        evaluator=SimpleNamespace(metrics=metrics), dataloader=SimpleNamespace(dataset=dataset)
    )
    return SimpleNamespace(
        work_dir=str(work_dir),
        val_loop=loop,
        test_loop=loop,
        model=model or SimpleNamespace(protocol=lambda: MODEL),
        iter=7,
        max_iters=9,
        seed=3,
        deterministic=True,
        _train_loop=object.__new__(IterBasedTrainLoop),
        train_dataloader=loop.dataloader,
        val_dataloader=loop.dataloader,
        hooks=[],
        cfg={
            "train_cfg": {"max_iters": 9},
            "val_dataloader": {"dataset": {"pipeline": PIPELINE}},
            "test_dataloader": None,
        },
        _load_from="some.pth",
        _resume=False,
        logger=MMLogger.get_instance("report"),
    )


def written(work_dir: Path) -> dict[str, Any]:
    return json.loads((work_dir / "report.json").read_text())


def evaluated() -> ZeroShotIoUMetric:
    metric = ZeroShotIoUMetric()
    metric.dataset_meta = META
    metric.summary = scores(np.array([[3, 1], [0, 4]]), Vocabulary.from_metainfo(META))
    return metric


@pytest.mark.parametrize("stage", ["val", "test"])
def test_numbers_and_protocol(tmp_path: Path, stage: str) -> None:
    run = runner(tmp_path / "new", [evaluated()])
    getattr(ReportHook(), f"after_{stage}_epoch")(run)
    report = written(tmp_path / "new")
    assert list(report) == ["pAcc", "mIoU_S", "mIoU_U", "hIoU", "per_class", "absent", "protocol"]
    assert report["mIoU_S"] == 75 and report["mIoU_U"] == 80
    assert report["per_class"]["cat"] == {"IoU": 75.0, "Acc": 75.0, "split": "seen"}
    protocol = report["protocol"]
    assert protocol["fingerprint"] == protocol_fingerprint(protocol)
    assert protocol.pop("code").startswith("0.") and protocol.pop("device")
    assert len(protocol.pop("fingerprint")) == 12 and len(protocol.pop("training")) == 12
    assert protocol == {
        "dataset": "two things",
        "images": 3,
        "image_names": data_protocol(images("x/c.png", "b.png", "a.png"))["image_names"],
        "setting": "inductive",
        "unseen": ["tvmonitor"],
        "num_classes": 2,
        "words": {"cat": ["cat"], "tvmonitor": ["tv", "monitor"]},
        "ignore_rule": "void ignored",
        "pipeline": [{"type": "Resize", "scale": [8, 4]}] if stage == "val" else [],
        **MODEL,
        "seed": 3,
        "start": None,
        "trained_images": None,
        "labels": None,
        "deterministic": True,
        "stage": {"val": "validation", "test": "test"}[stage],
        "iteration": 7,
        "max_iters": 9,
        "config": "unknown",
        "checkpoint": "some.pth",
    }


def test_the_protocol_of_wrapped_data_sets(tmp_path: Path) -> None:
    """Joined data sets that are read alike are no other protocol than one."""
    other = [{"type": "Resize", "scale": (4, 4)}]
    for inner, steps in (([PIPELINE, PIPELINE], PIPELINE), ([PIPELINE, other], PIPELINE + other)):
        run = runner(tmp_path, [evaluated()])
        joined = {"datasets": [{"pipeline": each} for each in inner]}
        run.cfg["val_dataloader"] = {"dataset": {"dataset": joined, "times": 2}}
        ReportHook().after_val_epoch(run)
        assert written(tmp_path)["protocol"]["pipeline"] == json.loads(json.dumps(steps))


def test_a_tested_checkpoint_says_how_it_was_trained(tmp_path: Path) -> None:
    run, hook = runner(tmp_path, [evaluated()]), ReportHook()
    run.cfg = type("Config", (dict,), {"filename": "configs/mine.py"})(run.cfg)
    checkpoint: dict[str, Any] = {"meta": {"iter": 5, "seed": 3}}
    hook.before_save_checkpoint(run, checkpoint)
    assert checkpoint["meta"]["config"] == "mine"
    # Tested by another config, as mmengine has it before a training.
    run._train_loop = run.cfg["train_cfg"] = {"max_iters": 20}
    run.iter, run.max_iters, run.seed = 0, 20, 4
    hook.after_load_checkpoint(run, checkpoint)
    hook.after_test_epoch(run)
    protocol = written(tmp_path)["protocol"]
    assert [protocol[key] for key in ("iteration", "max_iters", "seed")] == [5, 9, 3]
    assert protocol["training"] == training_fingerprint({"train_cfg": {"max_iters": 9}})
    hook.after_load_checkpoint(run, {})  # a file of something else
    hook.after_test_epoch(run)
    protocol = written(tmp_path)["protocol"]
    assert protocol["iteration"] is protocol["training"] is protocol["max_iters"] is None


def test_what_a_training_started_from_and_was_of(tmp_path: Path) -> None:
    run, hook = runner(tmp_path, [evaluated()]), ReportHook()
    run.train_dataloader = SimpleNamespace(dataset=images("a.jpg", "b.jpg"))
    hook.after_load_checkpoint(run, {"meta": {"training": "abc", "iter": 10}})
    hook.before_train(run)
    saved: dict[str, Any] = {}
    hook.before_save_checkpoint(run, saved)
    hook.after_val_epoch(run)
    protocols = [written(tmp_path)["protocol"]]
    run._resume, resumed = True, ReportHook()
    resumed.after_load_checkpoint(run, saved)
    resumed.before_train(run)
    resumed.after_val_epoch(run)
    protocols.append(written(tmp_path)["protocol"])
    for protocol in protocols:
        assert protocol["start"] == {"training": "abc", "iteration": 10}
        assert protocol["trained_images"] == image_names(images("b.jpg", "a.jpg"))
    run.train_dataloader = SimpleNamespace(dataset=images("a.jpg"))  # one was broken, and deleted
    with pytest.raises(InputError, match="the images that it began with, and these are others"):
        resumed.before_train(run)


def test_other_images_are_another_protocol() -> None:
    """Of a validation and a test set of equal size no mean is taken."""
    assert data_protocol(images("a.jpg", "b.jpg")) != data_protocol(images("a.jpg", "c.jpg"))


def test_a_resumed_run_has_the_batch_of_all_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, hook = runner(tmp_path, [evaluated()]), ReportHook()
    run._resume, checkpoint = True, {}
    for processes, batch in ((1, 16), (2, 8), (2, 16)):
        monkeypatch.setattr("zegclip.evaluation.report.get_world_size", lambda n=processes: n)
        run.cfg["train_dataloader"] = {"batch_size": batch}
        if not checkpoint:
            hook.before_save_checkpoint(run, checkpoint)
        if processes * batch == 16:
            hook.after_load_checkpoint(run, checkpoint)
            continue
        with pytest.raises(InputError, match=r"train_dataloader\.batch_size \(16 -> 32\)"):
            hook.after_load_checkpoint(run, checkpoint)


def test_a_model_that_is_tested_in_another_way_than_trained_is_another_protocol(
    tmp_path: Path,
) -> None:
    """Heads of attention, say, are in no weight's shape."""
    run, hook = runner(tmp_path, [evaluated()]), ReportHook()
    said: list[str] = []
    run.logger = SimpleNamespace(info=said.append, warning=said.append)
    run.cfg["model"], checkpoint = {"decode_head": {"num_heads": 8}}, {}
    hook.before_save_checkpoint(run, checkpoint)
    run._train_loop = None
    found = []
    for model in ({"num_heads": 8, "loss": {"dice_weight": 2}}, {"num_heads": 4}):
        # (With test-time augmentation the model is inside of another one.)
        run.cfg["model"] = {"type": "SegTTAModel", "module": {"decode_head": model}}
        hook.after_load_checkpoint(run, checkpoint)
        hook.after_test_epoch(run)
        found.append(written(tmp_path)["protocol"])
    changed = "model.decode_head.num_heads (8 -> 4)"
    assert "other_settings" not in found[0] and found[1]["other_settings"] == [changed]
    assert found[0]["fingerprint"] != found[1]["fingerprint"]
    assert f"the model is not tested as it was trained, but with {changed}" in said


def test_only_the_main_process_with_our_metric_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ReportHook().after_test_epoch(runner(tmp_path, [object()]))
    monkeypatch.setattr("zegclip.evaluation.report.is_main_process", lambda: False)
    ReportHook().after_test_epoch(runner(tmp_path, [evaluated()]))
    assert not list(tmp_path.iterdir())


def test_the_protocol_of_a_wrapped_model(tmp_path: Path) -> None:
    inner = SimpleNamespace(protocol=lambda: {"gamma": 0.2})
    hook = ReportHook()
    hook.after_test_epoch(runner(tmp_path, [evaluated()], SimpleNamespace(module=inner)))
    assert written(tmp_path)["protocol"]["gamma"] == 0.2
    hook.after_test_epoch(runner(tmp_path, [evaluated()], object()))
    assert "gamma" not in written(tmp_path)["protocol"]


def test_runs_before_the_vocabulary_goes_back_to_training() -> None:
    assert get_priority(ReportHook.priority) < get_priority(VocabularyHook.priority)


def test_numbers_that_do_not_exist_are_no_json(tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        write_report(tmp_path / "report.json", {"pAcc": float("nan")}, {})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "split", "known"),
    [
        ("mIoU", {}, "pAcc, mIoU_S, mIoU_U, hIoU"),
        ("hIoU", {"unseen": (), "setting": "supervised"}, "pAcc, mIoU_S"),
        ("hIoU", {"unseen": (), "setting": "cross_dataset"}, "pAcc, mIoU"),
        ("mIoU_U", {}, None),
        ("auto", {}, None),
    ],
)
def test_a_best_number_that_no_validation_gives_is_said_before_training(
    tmp_path: Path, name: str, split: dict[str, Any], known: str | None
) -> None:
    run = runner(tmp_path, [evaluated()])
    run.val_dataloader = SimpleNamespace(dataset=SimpleNamespace(metainfo=META | split))
    run.hooks = [CheckpointHook(save_best=name, rule="greater")]
    if known is None:
        ReportHook().before_train(run)
        return
    with pytest.raises(InputError, match=f"save_best: .* has no {name}, only {known}$"):
        ReportHook().before_train(run)


def test_best_numbers_of_other_metrics_and_with_prefixes(tmp_path: Path) -> None:
    metric = evaluated()
    run = runner(tmp_path, [metric, IoUMetric()])
    run.val_dataloader = SimpleNamespace(dataset=SimpleNamespace(metainfo=META))
    run.hooks = [CheckpointHook(save_best="mIoU", rule="greater")]  # mmseg's
    ReportHook().before_train(run)
    run = runner(tmp_path, [metric])
    run.val_dataloader = SimpleNamespace(dataset=SimpleNamespace(metainfo=META))
    metric.prefix = "val"
    run.hooks = [CheckpointHook(save_best="val/hIoU", rule="greater")]
    ReportHook().before_train(run)
    run.hooks = [CheckpointHook(save_best="hIoU", rule="greater")]
    with pytest.raises(InputError, match="has no hIoU, only val/pAcc"):
        ReportHook().before_train(run)
