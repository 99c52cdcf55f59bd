"""tools/summarize.py and zegclip.evaluation.summary on written reports."""

from __future__ import annotations

import csv
import json
import statistics
from pathlib import Path
from typing import Any

import pytest

from tools import summarize
from zegclip.evaluation.summary import read_reports, summarise

PROTOCOL: dict[str, Any] = {
    "dataset": "PASCAL VOC 2012 (20 classes)",
    "setting": "inductive",
    "unseen": ["pottedplant", "sheep", "sofa", "train", "tvmonitor"],
    "gamma": 0.1,
    "stage": "validation",
    "iteration": 20000,
    "max_iters": 20000,
    "config": "zegclip_voc_inductive",
    "training": "0123456789ab",
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


def table(folder: Path, capsys: pytest.CaptureFixture[str], *more: str) -> list[dict[str, str]]:
    assert summarize.main([str(folder), "--format", "csv", *more]) == 0
    return list(csv.DictReader(capsys.readouterr().out.splitlines()))


def test_mean_and_deviation_over_seeds_beside_the_published_row(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = [70.0, 72.0, 77.0]
    for seed, value in enumerate(values):
        write(tmp_path / "runs" / str(seed), value, seed)
    (row,) = table(tmp_path, capsys)
    assert row["config"] == "zegclip_voc_inductive" and row["runs"] == "3"
    assert row["mIoU(U)"] == f"73.0 ± {statistics.stdev(values):.1f}"
    assert row["mIoU(S)"] == "80.0 ± 0.0"
    assert row["published"] == "94.6 / 91.9 / 77.8 / 84.3"


def test_one_run_has_no_deviation_and_other_splits_no_published_row(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "a", 50.0, 0, unseen=["cat"])
    (row,) = table(tmp_path, capsys)
    assert row["mIoU(U)"] == "50.0" and row["published"] == ""


def test_a_run_that_was_validated_and_tested_counts_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "train", 50.0, 0)
    write(tmp_path / "test", 50.0, 0, stage="test", iteration=None, max_iters=None)
    write(tmp_path / "other", 60.0, 1)
    (row,) = table(tmp_path, capsys)
    assert row["runs"] == "2"


@pytest.mark.parametrize(
    ("change", "note"),
    [({"gamma": 0.0}, "differ in gamma (0.1 / 0.0)"), ({"training": "ff"}, "with other settings")],
)
def test_what_differs_is_not_averaged(
    change: dict[str, Any],
    note: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write(tmp_path / "a", 50.0, 0)
    write(tmp_path / "b", 60.0, 1, **change)
    monkeypatch.setattr(summarize, "MEASURED", tmp_path / "measured.json")
    with pytest.raises(SystemExit, match="not recorded, because a config has several rows"):
        summarize.main([str(tmp_path), "--record"])
    output = capsys.readouterr()
    assert output.out.count("zegclip_voc_inductive") == 2
    assert note in output.err
    assert not (tmp_path / "measured.json").exists()


def test_cross_dataset_has_one_mean(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = {"config": "zegclip_coco_to_voc", "setting": "cross_dataset", "unseen": []}
    write(tmp_path / "a", 93.0, 0, **config)
    (row,) = table(tmp_path, capsys)
    assert row["mIoU(S)"] == "93.0 (mIoU)" and row["mIoU(U)"] == row["hIoU"] == ""


def test_unfinished_and_broken_reports_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "half", 50.0, 0, iteration=4000)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "report.json").write_text('{"pAcc": 9')
    with pytest.raises(SystemExit, match="no finished run's report.json"):
        summarize.main([str(tmp_path)])
    said = capsys.readouterr().err
    assert "half is unfinished (4000 of 20000 iterations)" in said
    assert f"{tmp_path / 'broken' / 'report.json'} is no report of ours" in said


def test_record_keeps_rows_of_other_configs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = tmp_path / "measured.json"
    monkeypatch.setattr(summarize, "MEASURED", measured)
    measured.write_text('{"ldvc_voc_inductive": {}}')
    for seed in (0, 1):
        write(tmp_path / "runs" / str(seed), 70.0 + seed, seed)
    assert summarize.main([str(tmp_path / "runs"), "--record"]) == 0
    content = json.loads(measured.read_text())
    assert list(content) == ["ldvc_voc_inductive", "zegclip_voc_inductive"]
    entry = content["zegclip_voc_inductive"]
    assert entry["scores"]["mIoU_U"] == {"mean": 70.5, "std": pytest.approx(0.5**0.5)}
    assert [run["seed"] for run in entry["runs"]] == [0, 1]
    assert entry["runs"][0]["code"] == "0.1.0 (abc)"


def test_existing_files_are_not_overwritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "runs", 70.0, 0)
    out = tmp_path / "table.md"
    options = [str(tmp_path / "runs"), "--format", "markdown", "--out", str(out)]
    assert summarize.main(options) == 0
    first = out.read_text()
    assert first.splitlines()[1].count("---") == 9 and "| zegclip_voc_inductive |" in first
    with pytest.raises(SystemExit):
        summarize.main(options)
    assert "say --force to overwrite" in capsys.readouterr().err
    assert summarize.main([*options, "--force"]) == 0


def test_old_reports_are_named_after_their_dumped_config(tmp_path: Path) -> None:
    write(tmp_path / "a", 50.0, 0, config=None)
    (tmp_path / "a" / "tagclip_mini_inductive.py").touch()
    reports, problems = read_reports([tmp_path, tmp_path / "a"])
    assert not problems and len(reports) == 1
    assert summarise(reports)[0].config == "tagclip_mini_inductive"


def test_a_folder_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        summarize.main(["no_such_folder"])
    assert "no such folder: no_such_folder" in capsys.readouterr().err
