"""The programs that made data/mini, in a few steps."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from mini_benchmark import artwork_choice

from zegclip.files import PROJECT_ROOT


@pytest.mark.slow
def test_pretraining(
    tmp_path: Path, run_tool: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    script, out = "mini_benchmark/pretrain_tiny_clip.py", tmp_path / "clip.safetensors"
    common = ["--judge-number", "20", "--batch-size", "4", "--scene-steps", "1"]
    common += ["--crop-steps", "1", "--full-steps", "1"]
    run_tool(script, *common, "--out", out)
    report = json.loads((tmp_path / "clip_report.json").read_text())
    assert report["steps"] == 3 and 0 <= report["miou_test"] <= 100
    capsys.readouterr()
    run_tool(script, *common, "--judge", out)
    again = json.loads(capsys.readouterr().out)
    assert again["miou_test"] == pytest.approx(report["miou_test"], abs=1)


def test_drawings_are_those_of_the_index() -> None:
    """Of the committed index; the packages themselves would be a download."""

    index = json.loads((PROJECT_ROOT / "data/mini/artwork/index.json").read_text())
    committed = {(d["code"], d["name"], *d["words"]) for d in index["drawings"] if d["is_class"]}
    chosen = {(d["code"], d["name"], *d["words"]) for d in artwork_choice.chosen_drawings([])}
    assert committed <= chosen
