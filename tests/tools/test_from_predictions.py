"""tools/test.py --from-predictions: what --out wrote gives the same numbers again."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import pytest
from mmengine.logging import MessageHub, MMLogger
from mmseg.visualization import SegLocalVisualizer

ROOT = Path(__file__).parents[2]
CONFIG = "tagclip_mini_inductive"


def run(monkeypatch: pytest.MonkeyPatch, *args: str) -> None:
    """Test on three scenes, in the working directory."""
    data = ["dataset.number=3", "dataset.data_root=scenes"]
    data += ["num_workers=0", "persistent_workers=False"]
    options = ["--cfg-options", *(f"test_dataloader.{option}" for option in data)]
    monkeypatch.setattr(sys, "argv", ["test.py", f"configs/{CONFIG}.py", *args, *options])
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    for kept in (SegLocalVisualizer, MMLogger, MessageHub):  # by mmengine, while a process lives
        kept._instance_dict.clear()
    runpy.run_path(str(ROOT / "tools" / "test.py"), run_name="__main__")


def report(folder: str) -> dict:
    return json.loads((Path("work_dirs") / folder / "report.json").read_text())


def test_round_trip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("scenes").mkdir()
    run(monkeypatch, "data/mini/mini_model.pth", "--out", "pngs")
    ours = report(CONFIG)
    capsys.readouterr()
    # No model is made: its weights may be anywhere.
    monkeypatch.setattr("zegclip.clip.loading.read_weights", None)
    run(monkeypatch, "--from-predictions", "pngs")
    output = capsys.readouterr()
    assert "mIoU(U)" in output.out + output.err
    theirs = report(f"{CONFIG}_from_pngs")
    assert report(CONFIG) == ours  # the model's report stays
    protocol, own = theirs.pop("protocol"), ours.pop("protocol")
    assert theirs == ours and theirs["mIoU_U"] > 0
    assert protocol["predictions"] == "pngs" and "checkpoint" not in protocol
    for key in ("dataset", "images", "unseen", "words", "ignore_rule", "setting"):
        assert protocol[key] == own[key]


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["x.pth", "--from-predictions", "pngs"],
        ["--from-predictions", "pngs", "--out", "x"],
        ["--from-predictions", "pngs", "--launcher", "pytorch"],
    ],
)
def test_options_that_do_not_go_together(
    options: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit) as stop:
        run(monkeypatch, *options)
    assert stop.value.code == 2
