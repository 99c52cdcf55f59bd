"""The programs that made data/mini, in a few steps."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from mini_benchmark import artwork_choice

from zegclip.files import PROJECT_ROOT


@pytest.mark.slow
def test_a_pretraining_that_was_stopped_goes_on_and_ends_the_same(
    tmp_path: Path, run_tool: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["mini_benchmark/pretrain_tiny_clip.py", "--judge-number", "20", "--batch-size", "4"]
    common += ["--crop-steps", "1", "--scene-steps", "1", "--full-steps", "1", "--judge-every", "1"]
    whole, stopped = tmp_path / "whole.safetensors", tmp_path / "stopped.safetensors"
    run_tool(*common, "--out", whole)
    report = json.loads((tmp_path / "whole_report.json").read_text())
    assert report["steps"] == 3 and 0 <= report["miou_test"] <= 100
    # The second is stopped after two steps.
    judge = sys.modules["tiny_clip.judge"].Judge
    scores = iter([{}, {}])
    with pytest.MonkeyPatch.context() as patch, pytest.raises(StopIteration):
        patch.setattr(judge, "__call__", lambda self, model: next(scores))
        run_tool(*common, "--out", stopped)
    capsys.readouterr()
    run_tool(*common, "--out", stopped)
    assert "resumed after 2 steps" in capsys.readouterr().out
    assert stopped.read_bytes() == whole.read_bytes()
    run_tool(*common, "--judge", stopped)
    again = json.loads(capsys.readouterr().out)
    assert again["miou_test"] == pytest.approx(report["miou_test"], abs=1)


def test_drawings_are_those_of_the_index() -> None:
    """Of the committed index; the packages themselves would be a download."""

    index = json.loads((PROJECT_ROOT / "data/mini/artwork/index.json").read_text())["drawings"]
    committed = {(d["code"], d["name"], *d["words"]) for d in index if d["is_class"]}
    chosen = {(d["code"], d["name"], *d["words"]) for d in artwork_choice.chosen_drawings([])}
    assert committed <= chosen
