"""tools/prepare_dataset.py: from archives to a verified data set, and what stops it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import prepare_dataset
import pytest

from tests.tools.dataset_converters import official
from zegclip.errors import InputError


@pytest.fixture(autouse=True)
def small_numbers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The published counts are those of the small archives; the folder is a fresh one."""
    monkeypatch.setattr(prepare_dataset, "DATA_SETS", {k: official.small(k) for k in official.MAKE})
    monkeypatch.chdir(tmp_path)


def run(*arguments: str) -> int:
    try:
        prepare_dataset.main([*arguments])
    except SystemExit as end:
        assert isinstance(end.code, int)
        return end.code
    return 0


@pytest.mark.parametrize("key", official.MAKE)
def test_from_archives_to_a_verified_data_set(
    key: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    official.MAKE[key](tmp_path / "dl")
    arguments = [key, "--archives", "dl", "--out", "data", "--json", "found.json"]
    assert run(*arguments) == 0
    said = capsys.readouterr().out
    made = [path for path in (tmp_path / "data").rglob("*") if path.is_file()]
    assert f"{len(made)} files written, 0 were there" in said and "0 errors" in said
    last = official.small(key).names[max(official.small(key).names)]
    assert re.search(rf"{last}\s+\d+\.\d", said)  # its share of the pixels
    findings = json.loads(Path("found.json").read_text())
    assert findings["unreadable"] == [] and findings["masks"] * 12 * 16 == sum(findings["pixels"])
    assert all(found == published for _, found, published in findings["counts"])
    assert all("classes occur in no mask" in each["message"] for each in findings["findings"])

    assert run(*arguments) == 0
    assert f"0 files written, {len(made)} were there" in capsys.readouterr().out
    assert run(key, "--verify", "--sample", "1") == 0  # without archives


def test_what_stops_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("voc") == 2
    assert "--archives is needed" in capsys.readouterr().err
    assert run("voc", "--verify", "--sample", "0") == 2
    assert "--sample is at least 1" in capsys.readouterr().err
    with pytest.raises(InputError, match="3 of 3 archives"):
        run("coco_stuff", "--archives", "dl")
    official.make_ade(tmp_path / "dl")
    (tmp_path / "data").write_text("a file")
    with pytest.raises(InputError, match="data.*when that is fixed, the same command goes on"):
        run("ade", "--archives", "dl")


def test_unreadable_masks_are_all_listed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    official.make_coco(tmp_path / "dl")
    archive = tmp_path / "dl" / "stuffthingmaps_trainval2017.zip"
    whole = archive.read_bytes()
    broken = {name: b"broken" for name in official.coco_masks() if name.startswith("train")}
    official.write_archive(archive, broken | {"val2017/x.png": official.png(official.labels(0))})
    assert run("coco_stuff", "--archives", "dl") == 1  # and not at the first of them
    report = Path("data/coco_stuff_unreadable.txt")
    assert f"3 files cannot be read, listed in {report}" in capsys.readouterr().out
    assert sorted(line.partition(":")[0] for line in report.read_text().splitlines()) == [*broken]
    # With a whole archive the same command goes on, and the report is gone.
    archive.write_bytes(whole)
    assert run("coco_stuff", "--archives", "dl") == 0
    assert not report.exists()


def test_errors_are_exit_status_1_and_force_fixes_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    official.make_ade(tmp_path / "dl")
    run("ade", "--archives", "dl")
    mask = tmp_path / "data/ade/ADEChallengeData2016/annotations/validation/ADE_val_00000001.png"
    mask.write_bytes(official.png(official.labels(255, 0, 149, 3)))
    assert run("ade", "--verify") == 1
    said = capsys.readouterr().out
    assert "shifted by one" in said and f"fix: `{official.small('ade').command()}`" in said
    assert run("ade", "--archives", "dl") == 1
    said = capsys.readouterr().out
    assert "1 files differ from ours and are kept" in said
    assert "fix: `python tools/prepare_dataset.py ade --archives dl --out data`" in said
    assert run("ade", "--archives", "dl", "--force") == 0


def test_interruption_leaves_whole_files_and_the_same_command_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from PIL import Image

    official.make_voc(tmp_path / "dl")
    save = Image.Image.save

    def interrupted(image: Image.Image, part: Path, **options: object) -> None:
        save(image, part)
        if official.SBD_ONLY[1] in str(part):
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Image.Image, "save", interrupted)
        with pytest.raises(InputError, match="the same command goes on from here"):
            run("voc", "--archives", "dl")
    aug = tmp_path / "data/VOCdevkit/VOC2012/SegmentationClassAug"
    assert [path.name for path in aug.iterdir()] == [f"{official.SBD_ONLY[0]}.png"]
    assert run("voc", "--archives", "dl") == 0
