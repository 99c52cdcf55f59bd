"""The programs that made data/mini, in a few steps."""

from __future__ import annotations

import io
import json
import runpy
import sys
import tarfile
from pathlib import Path

import pytest
from PIL import Image

TOOLS = Path(__file__).parents[3] / "tools" / "mini_benchmark"


@pytest.mark.slow
def test_pretraining(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script, out = str(TOOLS / "pretrain_tiny_clip.py"), tmp_path / "clip.safetensors"
    monkeypatch.syspath_prepend(str(TOOLS))  # as running it does
    common = ["--judge-number", "20", "--batch-size", "4"]
    steps = ["--crop-steps", "2", "--scene-steps", "1", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", [script, *common, *steps])
    runpy.run_path(script, run_name="__main__")
    report = json.loads((tmp_path / "clip_report.json").read_text())
    assert report["steps"] == 3 and 0 <= report["dense_miou"] <= 100
    capsys.readouterr()
    monkeypatch.setattr(sys, "argv", [script, *common, "--judge", str(out)])
    runpy.run_path(script, run_name="__main__")
    again = json.loads(capsys.readouterr().out)
    assert again["dense_miou"] == pytest.approx(report["dense_miou"], abs=1)


def test_drawings_are_those_of_the_index(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the committed index; the packages themselves would be a download."""
    monkeypatch.syspath_prepend(str(TOOLS))
    import fetch_artwork

    index = json.loads((fetch_artwork.PROJECT_ROOT / "data/mini/artwork/index.json").read_text())
    committed = {(d["code"], d["name"], *d["words"]) for d in index["drawings"] if d["is_class"]}
    chosen = {(d["code"], d["name"], *d["words"]) for d in fetch_artwork.chosen_drawings([])}
    assert committed <= chosen

    # Cropped to the outline, 48 pixels at most, under any spelling of the code point.
    file, archive = io.BytesIO(), io.BytesIO()
    picture = Image.new("RGBA", (64, 64))
    picture.paste((255, 0, 0, 255), (10, 20, 40, 30))
    picture.save(file, "PNG")
    with tarfile.open(fileobj=archive, mode="w") as tar:
        member = tarfile.TarInfo("package/2708.png")
        member.size = len(file.getvalue())
        tar.addfile(member, io.BytesIO(file.getvalue()))
    archive.seek(0)
    with tarfile.open(fileobj=archive) as tar:
        drawing = fetch_artwork.read_drawing(tar, "package/{}.png", "2708-fe0f")
        assert drawing is not None and drawing.size == (48, 16)
        assert fetch_artwork.read_drawing(tar, "package/{}.png", "1f6b2") is None
