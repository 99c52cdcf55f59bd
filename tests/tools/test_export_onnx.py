"""tools/export_onnx.py: what it writes, prints and refuses; image_demo with its files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import export_onnx
import image_demo
import numpy as np
import pytest
from PIL import Image

from zegclip.apis import OnnxInferencer
from zegclip.datasets.mini.scenes import make_scene
from zegclip.errors import InputError

ARGUMENTS = ("tagclip_mini_inductive", "data/mini/mini_model.pth", "--out")


def test_model_and_words_checked_and_timed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "model.onnx"
    export_onnx.main([*ARGUMENTS, str(out), "--words", "cat, a red bus", "--check", "--benchmark"])
    printed = capsys.readouterr().out
    assert sorted(path.name for path in out.parent.iterdir()) == ["model.onnx", "words.npz"]
    assert printed.count("other labels 0.00%") == 8 and f"written: {out}" in printed
    assert re.search(r"ONNX Runtime takes \d+\.\d\d of torch's time", printed)
    assert "torch.onnx" not in printed  # the exporter's own remarks

    # What was written works, from Python and in image_demo.
    scene = make_scene("val", 0)[0].image
    result = OnnxInferencer(out)(scene)
    Image.fromarray(scene).save(tmp_path / "photo.png")
    picture = tmp_path / "drawn.png"
    image_demo.main([str(tmp_path / "photo.png"), "--onnx", str(out), "--out", str(picture)])
    assert result.label_of(int(np.bincount(result.labels.ravel()).argmax())) in (
        capsys.readouterr().out
    )
    assert picture.is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((ARGUMENTS[0], "none.pth", "--out", "model.onnx"), "no checkpoint 'none.pth'"),
        (("none.py", ARGUMENTS[1], "--out", "model.onnx"), "no config 'none.py'"),
        ((*ARGUMENTS, "model.onnx", "--words", "cat, cat"), "twice"),
    ],
)
def test_files_and_words_that_are_not_there(arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        export_onnx.main(arguments)


@pytest.mark.parametrize(("difference", "others"), [(0.5, 0.0), (1e-6, 0.1), (float("nan"), 0.0)])
def test_a_file_that_differs_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, difference: float, others: float
) -> None:
    def write(model: Any, path: Path, *_: Any) -> None:
        path.write_text("a graph")

    monkeypatch.setattr(export_onnx, "export_onnx", write)
    found = [("a case", difference, others)]
    monkeypatch.setattr(export_onnx, "compare", lambda *_: found)
    out = tmp_path / "model.onnx"
    out.write_text("mine")
    with pytest.raises(InputError, match="ONNX Runtime and torch differ"):
        export_onnx.main([*ARGUMENTS, str(out), "--check", "--words", "cat"])
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]
