"""tools/test.py --from-predictions: what --out wrote gives the same numbers again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

CONFIG = "tagclip_mini_inductive"
# Three scenes, in the working directory.
DATA = ["--cfg-options", "test_dataloader.dataset.number=3"]
DATA += ["test_dataloader.dataset.data_root=scenes", "test_dataloader.num_workers=0"]
DATA += ["test_dataloader.persistent_workers=False"]


def report(folder: str) -> dict:
    return json.loads((Path("work_dirs") / folder / "report.json").read_text())


def test_round_trip(
    tmp_path: Path,
    run_tool: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("scenes").mkdir()
    run_tool("test.py", f"configs/{CONFIG}.py", "data/mini/mini_model.pth", "--out", "pngs", *DATA)
    ours = report(CONFIG)
    capsys.readouterr()
    # No model is made: its weights may be anywhere.
    monkeypatch.setattr("zegclip.clip.loading.read_weights", None)
    run_tool("test.py", f"configs/{CONFIG}.py", "--from-predictions", "pngs", *DATA)
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
def test_options_that_do_not_go_together(options: list[str], run_tool: Callable[..., None]) -> None:
    with pytest.raises(SystemExit) as stop:
        run_tool("test.py", f"configs/{CONFIG}.py", *options)
    assert stop.value.code == 2
