"""tools/prepare_dataset.py: from archives to a verified data set, and every way to fail."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from tests.dataset_converters import official

from tools import prepare_dataset


@pytest.fixture(autouse=True)
def small_numbers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The published counts are those of the small archives; the folder is a fresh one."""
    monkeypatch.setattr(prepare_dataset, "DATA_SETS", {k: official.small(k) for k in official.MAKE})
    monkeypatch.chdir(tmp_path)


def run(*arguments: str) -> int:
    return prepare_dataset.main([*arguments])


def failure(*arguments: str) -> str:
    with pytest.raises(SystemExit) as error:
        run(*arguments)
    return str(error.value)


def files(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("key", official.MAKE)
def test_from_archives_to_a_verified_data_set(
    key: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    official.MAKE[key](tmp_path / "dl")
    arguments = [key, "--archives", "dl", "--out", "data", "--jobs", "2", "--json", "found.json"]
    assert run(*arguments) == 0
    said = capsys.readouterr().out
    made = files(tmp_path / "data")
    assert f"{len(made)} files written, 0 replaced, 0 there already" in said
    assert "0 errors" in said
    findings = json.loads(Path("found.json").read_text())
    assert findings["key"] == key and findings["unreadable"] == []
    assert {f["severity"] for f in findings["findings"]} <= {"warning"}
    assert sum(findings["histogram"]) == findings["masks_opened"] * 12 * 16

    assert run(*arguments) == 0
    assert f"nothing to do: all {len(made)} files are there already" in capsys.readouterr().out
    assert files(tmp_path / "data") == made
    assert run(key, "--verify", "--out", "data") == 0  # without archives
    assert files(tmp_path / "data") == made


def test_class_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    official.make_voc(tmp_path / "dl")
    run("voc", "--archives", "dl", "--out", "data", "--jobs", "1")
    said = capsys.readouterr().out
    found = re.findall(r"^[│|] (\w+) +[│|] +(never|\d+\.\d+) +[│|]$", said, re.MULTILINE)
    shares = dict(found)
    assert shares["bus"] == "never" and shares["bottle"] == "never"
    assert float(shares["person"]) > 0 and float(shares["void"]) > 0
    assert sum(float(v) for v in shares.values() if v[0].isdigit()) == pytest.approx(100, abs=0.02)


def test_missing_archives_end_it_with_the_command_to_repeat(tmp_path: Path) -> None:
    (tmp_path / "my dl").mkdir()
    message = failure("coco_stuff", "--archives", "my dl")
    assert "3 of 3 archives" in message and "stuffthingmaps_trainval2017.zip" in message
    assert "-o 'my dl/val2017.zip' http://images.cocodataset.org/zips/val2017.zip" in message
    assert message.endswith("python tools/prepare_dataset.py coco_stuff --archives 'my dl'")
    assert not (tmp_path / "data").exists()


def test_archives_must_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    failure("voc")
    assert "--archives is needed" in capsys.readouterr().err


def test_broken_archive_ends_it_before_anything_is_written(tmp_path: Path) -> None:
    official.make_voc(tmp_path / "dl")
    tgz = tmp_path / "dl" / "benchmark.tgz"
    tgz.write_bytes(b"garbage" * 100)
    message = failure("voc", "--archives", "dl")
    assert message.startswith("error: dl/benchmark.tgz is cut short or corrupt")
    assert not (tmp_path / "data").exists()


def test_checksums_are_compared_on_request(tmp_path: Path) -> None:
    official.make_voc(tmp_path / "dl")
    message = failure("voc", "--archives", "dl", "--checksums")
    assert "the official one 6cd6e144f989b92b3379bac3b3de84fd" in message


def test_too_small_a_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    official.make_ade(tmp_path / "dl")
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=100))
    assert "its disk has 0.0 GB free" in failure("ade", "--archives", "dl")
    assert not (tmp_path / "data").exists()


def test_a_target_that_cannot_be_written(tmp_path: Path) -> None:
    official.make_ade(tmp_path / "dl")
    (tmp_path / "data").write_text("a file")
    message = failure("ade", "--archives", "dl")
    assert message.startswith("error: ") and "data" in message
    assert message.endswith("again:\n  python tools/prepare_dataset.py ade --archives dl")
    assert (tmp_path / "data").read_text() == "a file"


def test_neighbours_with_the_same_mend_say_it_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    official.make_ade(tmp_path / "dl")
    run("ade", "--archives", "dl")
    for path in (tmp_path / "data").rglob("*.jpg"):
        path.unlink()
    capsys.readouterr()
    assert run("ade", "--verify") == 1
    said = capsys.readouterr().out
    assert "images/training has 0 images" in said and "images/validation has 0 images" in said
    assert said.count("mend:") == 1


def test_sampling_says_which_classes_were_not_seen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    official.make_ade(tmp_path / "dl")
    assert run("ade", "--archives", "dl", "--sample", "1") == 0
    said = capsys.readouterr().out
    assert "2 masks opened" in said and "in none of these masks: building, sky" in said
    assert "0 errors, 0 warnings" in said


def test_unreadable_files_are_all_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    official.make_coco(tmp_path / "dl")
    masks = {f"train2017/{name}.png": b"broken" for name in official.COCO["train2017"]}
    masks |= {"val2017/000000000139.png": official.png(official.labels(0, 255))}
    masks |= {f"val2017/more_{i}.png": b"broken" for i in range(4)}
    whole = tmp_path / "dl" / "stuffthingmaps_trainval2017.zip"
    backup = whole.read_bytes()
    official.write_zip(whole, masks)
    assert run("coco_stuff", "--archives", "dl", "--json", "found.json") == 1
    said = capsys.readouterr().out
    assert "7 files cannot be read" in said
    report = tmp_path / "data" / "coco_stuff_unreadable.txt"
    assert str(report.relative_to(tmp_path)) in said
    listed = [line.partition(":")[0] for line in report.read_text().splitlines()]
    assert sorted(listed) == sorted(name for name, content in masks.items() if content == b"broken")
    found = json.loads(Path("found.json").read_text())
    assert len(found["unreadable"]) == 7
    assert [f["kind"] for f in found["findings"] if f["severity"] == "error"] == ["missing_mask"]
    # With a whole archive the same command goes on, and the report is gone.
    whole.write_bytes(backup)
    assert run("coco_stuff", "--archives", "dl") == 0
    assert not report.exists()


def test_verification_errors_are_exit_status_1_and_force_mends_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    official.make_ade(tmp_path / "dl")
    assert run("ade", "--archives", "dl") == 0
    mask = tmp_path / "data/ade/ADEChallengeData2016/annotations/validation/ADE_val_00000001.png"
    mask.write_bytes(official.png(official.labels(255, 0, 149, 3)))
    assert run("ade", "--verify") == 1
    said = capsys.readouterr().out
    assert "shifted by one" in said and "annotations/validation/ADE_val_00000001.png" in said
    assert run("ade", "--archives", "dl") == 1
    assert "1 files differ from ours and are kept" in capsys.readouterr().out
    assert run("ade", "--archives", "dl", "--force") == 0


def test_interruption_leaves_whole_files_and_the_command_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    official.make_voc(tmp_path / "dl")
    from dataset_converters import voc

    made: list[Path] = []

    def interrupted(mask: object, target: Path) -> None:
        if made:
            raise KeyboardInterrupt
        made.append(target)
        original(mask, target)  # type: ignore[arg-type]

    original = voc.save_mask
    monkeypatch.setattr(voc, "save_mask", interrupted)
    message = failure("voc", "--archives", "dl", "--jobs", "1")
    assert message.endswith("python tools/prepare_dataset.py voc --archives dl --jobs 1")
    assert not list((tmp_path / "data").rglob("*.part"))
    aug = tmp_path / "data/VOCdevkit/VOC2012/SegmentationClassAug"
    assert [path.name for path in aug.iterdir()] == [path.name for path in made]
    monkeypatch.setattr(voc, "save_mask", original)
    assert run("voc", "--archives", "dl", "--jobs", "1") == 0


def test_help_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    failure("--help")
    said = capsys.readouterr().out
    assert "prepare_dataset.py voc --archives data/archives --out data" in said
