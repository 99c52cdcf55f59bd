"""tools/summarize.py on written reports."""

from __future__ import annotations

import csv
import json
import shutil
import statistics
from pathlib import Path
from typing import Any

import pytest
import summarize

from zegclip.engine.config_files import read_config
from zegclip.errors import InputError
from zegclip.evaluation import training_fingerprint
from zegclip.files import PROJECT_ROOT


def trained(config: str, **changes: Any) -> str:
    """The fingerprint of a training by a config, with changes of its ``optim_wrapper``."""
    cfg = read_config(PROJECT_ROOT / "configs" / f"{config}.py")
    cfg.optim_wrapper.update(changes)
    return training_fingerprint(cfg)


PROTOCOL: dict[str, Any] = {
    "dataset": "PASCAL VOC 2012 (20 classes)",
    "setting": "inductive",
    "unseen": ["pottedplant", "sheep", "sofa", "train", "tvmonitor"],
    "gamma": 0.1,
    "stage": "validation",
    "iteration": 20000,
    "max_iters": 20000,
    "config": "zegclip_voc_inductive",
    "training": trained("zegclip_voc_inductive"),
    "code": "0.1.0 (abc)",
}


def write(folder: Path, score: float, seed: int | None, **protocol: Any) -> None:
    """A run's report; ``score`` is its mIoU(U)."""
    content: dict[str, Any] = {"pAcc": 90.0, "mIoU_S": 80.0, "mIoU_U": score, "hIoU": 70.0}
    if protocol.get("setting") == "cross_dataset":
        content = {"pAcc": 90.0, "mIoU": score}
    folder.mkdir(parents=True)
    content["protocol"] = PROTOCOL | {"seed": seed} | protocol
    (folder / "report.json").write_text(json.dumps(content))


@pytest.fixture
def table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """What the tool prints of the reports in tmp_path: rows, and what it says beside them."""

    def summarised(*more: str) -> tuple[list[dict[str, str]], str]:
        summarize.main([str(tmp_path), "--format", "csv", *more])
        output = capsys.readouterr()
        return list(csv.DictReader(output.out.splitlines())), output.err

    return summarised


def test_mean_and_deviation_over_seeds_beside_the_published_row(tmp_path: Path, table: Any) -> None:
    values = [70.0, 72.0, 77.0]
    for seed, value in enumerate(values):
        write(tmp_path / "runs" / str(seed), value, seed)
    write(tmp_path / "other_split", 50.0, 0, unseen=["cat"])
    rows, _ = table()
    one, several = sorted(rows, key=lambda row: row["runs"])
    assert several["config"] == "zegclip_voc_inductive" and several["runs"] == "3"
    assert several["mIoU(U)"] == f"73.0 ± {statistics.stdev(values):.1f}"
    assert several["mIoU(S)"] == "80.0 ± 0.0"
    assert several["published"] == "94.6 / 91.9 / 77.8 / 84.3"
    assert one["mIoU(U)"] == "50.0" and one["published"] == ""


def test_a_run_that_was_validated_and_tested_counts_once(tmp_path: Path, table: Any) -> None:
    write(tmp_path / "train", 50.0, 0)
    write(tmp_path / "test", 50.0, 0, stage="test")
    write(tmp_path / "other", 60.0, 1)
    # A pixel is another one on another machine.
    write(tmp_path / "elsewhere", 50.001, 0, stage="test")
    write(tmp_path / "other_test", 60.001, 1, stage="test")
    (row,), said = table()
    assert row["runs"] == "3" and "seed 0 is counted twice" in said
    shutil.rmtree(tmp_path / "elsewhere")
    (row,), said = table()
    assert row["runs"] == "2" and "twice" not in said
    write(tmp_path / "again", 51.0, 1, stage="test")
    (row,), said = table()
    assert row["runs"] == "3" and "seed 1 is counted twice" in said


@pytest.mark.parametrize(
    ("change", "note"),
    [
        ({"gamma": 0.0}, "differ in gamma (0.1 / 0.0)"),
        ({"training": "ff"}, "differ in how they were trained"),
        ({"training": None}, "differ in how they were trained"),
        ({"start": {"training": "ff"}}, "differ in what they started from"),
        ({"trained_images": "ff"}, "differ in which images they were trained on"),
        ({"labels": "ff"}, "differ in the masks they were judged by"),
    ],
)
def test_what_differs_is_not_averaged(
    change: dict[str, Any], note: str, tmp_path: Path, table: Any
) -> None:
    told = {"start": None, "trained_images": "aa", "labels": "bb"}
    write(tmp_path / "a", 50.0, 0, **told)
    write(tmp_path / "b", 60.0, 1, **told | change)
    rows, said = table()
    assert [row["runs"] for row in rows] == ["1", "1"] and note in said


def test_a_checkpoint_before_the_end_is_a_row_of_its_own(
    tmp_path: Path, table: Any, recorded: dict[str, Any]
) -> None:
    write(tmp_path / "end", 50.0, 0)
    for seed, iteration in ((0, 16000), (1, 12000)):  # the best of each
        write(tmp_path / f"best_{seed}", 60.0, seed, stage="test", iteration=iteration)
    (end, best), said = table()
    assert (end["runs"], end["setting"]) == ("1", "inductive")
    setting = "inductive (iteration 12000, 16000 of 20000)"
    assert (best["runs"], best["setting"]) == ("2", setting)
    assert "differ in whether they were trained to the end" in said and "twice" not in said
    write(tmp_path / "second_best", 58.0, 1, stage="test", iteration=16000)
    rows, _ = table()  # (of one seed, they are no repetitions)
    assert sorted((row["runs"], row["setting"][-15:]) for row in rows[1:]) == [
        ("1", "12000 of 20000)"),
        ("2", "16000 of 20000)"),
    ]
    shutil.rmtree(tmp_path / "second_best")
    _, said = table("--record")
    assert [run["mIoU_U"] for run in recorded["zegclip_voc_inductive"]["runs"]] == [50.0]
    assert f"{tmp_path / 'best_0'}, {tmp_path / 'best_1'}: not trained as configs/ says" in said


def test_what_older_reports_do_not_tell_is_no_difference(tmp_path: Path, table: Any) -> None:
    write(tmp_path / "old", 50.0, 0)
    told = {"start": None, "trained_images": "aa", "labels": "bb"}
    write(tmp_path / "new", 60.0, 1, **told)
    write(tmp_path / "old_one_tested_now", 50.0, 0, labels="bb", stage="test")
    (row,), said = table()
    assert row["runs"] == "2" and said == ""


def test_other_rows(tmp_path: Path, table: Any) -> None:
    """Cross-dataset runs have one mean; two systems' predictions are two rows."""
    cross = {"config": "zegclip_coco_to_voc", "setting": "cross_dataset", "unseen": []}
    write(tmp_path / "a", 93.0, 0, **cross)
    for name in ("sam", "clip"):
        write(tmp_path / name, 50.0, None, predictions=name, max_iters=None, training=None)
    (first, second, third), _ = table()
    assert [row["config"] for row in (first, second)] == [
        "clip (predictions, zegclip_voc_inductive)",
        "sam (predictions, zegclip_voc_inductive)",
    ]
    assert third["mIoU(S)"] == "93.0 (mIoU)" and third["mIoU(U)"] == third["hIoU"] == ""
    assert third["published"] == "mIoU 93.6"


def test_two_ways_of_self_training_are_two_rows(tmp_path: Path, table: Any) -> None:
    transductive = {"config": "zegclip_voc_transductive", "setting": "transductive"}
    for pixels in ("all_unlabelled", "unseen_pixels"):
        write(tmp_path / pixels, 80.0, 0, **transductive, pseudo_labels=pixels)
    rows, said = table()
    assert {row["setting"]: row["published"][-4:] for row in rows} == {
        "transductive (all_unlabelled)": "86.7",
        "transductive (unseen_pixels)": "91.1",
    }
    assert "differ in pseudo_labels" in said


@pytest.mark.parametrize("content", ['{"pAcc": 9', "[]", "{}", '{"pAcc": 9, "protocol": {}}'])
def test_unfinished_and_broken_reports_are_named(
    content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "half", 50.0, 0, iteration=4000)
    write(tmp_path / "start", 50.0, 0, iteration=None)
    (tmp_path / "report.json").write_text(content)
    with pytest.raises(InputError, match="no finished run's report.json in .* or below"):
        summarize.main([str(tmp_path)])
    said = capsys.readouterr().err
    assert "half is unfinished (4000 of 20000 iterations)" in said
    assert f"{tmp_path / 'report.json'} is no report of ours" in said


def test_formats(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "a", 50.0, 0)
    for more in ([], ["--format", "markdown"]):
        summarize.main([str(tmp_path), *more])
        shown = capsys.readouterr().out
        assert "zegclip_voc_inductive" in shown and "94.6 / 91.9 / 77.8 / 84.3" in shown
    assert shown.splitlines()[1].count("---") == len(summarize.HEADING)


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What is recorded, beside a config that was there before."""
    content: dict[str, Any] = {}
    monkeypatch.setattr(summarize, "record", lambda name, rows: content.update(rows))
    monkeypatch.setattr(
        summarize, "read", lambda name: {"ldvc_voc_inductive": {}} if name == "measured" else []
    )
    return content


def test_record_keeps_rows_of_other_configs(
    tmp_path: Path, table: Any, recorded: dict[str, Any]
) -> None:
    for seed in (1, 0):
        write(tmp_path / str(seed), 70.0 + seed, seed)
    table("--record")
    assert list(recorded) == ["ldvc_voc_inductive", "zegclip_voc_inductive"]
    runs = recorded["zegclip_voc_inductive"]["runs"]
    assert [(run["seed"], run["mIoU_U"]) for run in runs] == [(0, 70.0), (1, 71.0)]
    assert runs[0]["code"] == "0.1.0 (abc)" and "mIoU" not in runs[0]


def test_recorded_is_what_was_trained_as_its_config_says(
    tmp_path: Path, table: Any, recorded: dict[str, Any]
) -> None:
    amp = {"type": "AmpOptimWrapper", "loss_scale": "dynamic"}
    write(tmp_path / "amp", 70.0, 0, training=trained("zegclip_voc_inductive", **amp))
    free = {"max_iters": None, "training": None, "setting": "cross_dataset"}
    write(tmp_path / "free", 70.0, None, config="training_free_voc", **free)
    cross = {"config": "zegclip_coco_to_voc", "setting": "cross_dataset"}
    # VOC's template in the place of the training's, as the config says.
    templates = ["model.text_encoder.templates (multi15 -> single)"]
    to_voc = {**cross, "training": trained("zegclip_coco_inductive")}
    write(tmp_path / "cross", 70.0, 0, **to_voc, other_settings=templates)
    untold = {"templates": ["a photo of a {}"], "config": "tagclip_coco_to_voc"}
    to_voc_by = {**to_voc, **untold, "training": trained("tagclip_coco_inductive")}
    write(tmp_path / "old", 70.0, 0, **to_voc_by)
    names = ["ldvc_voc_inductive", "tagclip_coco_to_voc", "training_free_voc"]
    names.append("zegclip_coco_to_voc")
    others = {
        "rate": {"training": trained("zegclip_voc_inductive", clip_grad=1)},
        "other": {**cross, "training": trained("zegclip_voc_inductive")},
        "mine": {"config": "my_voc"},
        "untold": {"training": None},
        "clip": {"predictions": "clip", "max_iters": None, "training": None},
        "twice": {"start": {"training": trained("zegclip_voc_inductive"), "iteration": 20000}},
    }
    judged = {
        "tta": {"pipeline": [{"type": "TestTimeAug"}]},
        "gamma": {"other_settings": ["model.decode_head.gamma (0.1 -> 0.3)"]},
        "whole": {"inference": {"mode": "whole"}},
        "half": {"fp16": True},
        "words": to_voc,
    }
    for folder, change in judged.items():
        write(tmp_path / folder, 50.0, 0, **change)
    first = {"training": trained("zegclip_voc_inductive"), "iteration": 10000}
    self_training = {"config": "zegclip_voc_transductive", "setting": "transductive"}
    trained_so = {"training": trained("zegclip_voc_transductive"), "start": first}
    write(tmp_path / "second", 70.0, 0, **self_training, **trained_so)
    for folder, change in others.items():
        write(tmp_path / folder, 50.0, 0, **change)
    _, said = table("--record")
    assert list(recorded) == [*names, "zegclip_voc_inductive", "zegclip_voc_transductive"]
    assert [run["mIoU_U"] for run in recorded["zegclip_voc_inductive"]["runs"]] == [70.0]
    for folder in others:
        assert f"of {tmp_path / folder}: not trained as configs/ says" in said
    for folder in judged:
        assert f"of {tmp_path / folder}: not tested as configs/ says" in said


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"gamma": 0.0}, "not recorded, because a config has several rows"),
        ({"config": "mine"}, "nothing is recorded"),
    ],
)
def test_what_is_not_recorded(
    change: dict[str, Any], problem: str, tmp_path: Path, table: Any, recorded: dict[str, Any]
) -> None:
    write(tmp_path / "a", 50.0, 0, **change)
    write(tmp_path / "b", 60.0, 1, config=change.get("config", PROTOCOL["config"]))
    with pytest.raises(InputError, match=problem):
        table("--record")
    assert not recorded
