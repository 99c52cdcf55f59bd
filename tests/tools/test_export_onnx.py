"""tools/export_onnx.py: what it writes, prints and refuses; image_demo with its files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tools import export_onnx, image_demo
from zegclip.apis import OnnxSegmenter
from zegclip.datasets.mini.scenes import make_scene
from zegclip.export import Comparison

ARGUMENTS = ("configs/tagclip_mini_inductive.py", "data/mini/mini_model.pth", "--out")


@pytest.fixture
def no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading a model is an error: what is refused must be before."""

    def load_model(*_: Any) -> None:
        raise AssertionError("work has begun")

    monkeypatch.setattr(export_onnx, "load_model", load_model)


def refused(*arguments: str) -> str:
    with pytest.raises(SystemExit) as stop:
        export_onnx.main(list(arguments))
    return str(stop.value.code)


def test_model_and_words_checked_and_timed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "model.onnx"
    options = ["--words", "cat, a red bus", "--check", "--benchmark"]
    assert export_onnx.main([*ARGUMENTS, str(out), *options]) == 0
    printed = capsys.readouterr().out
    assert sorted(path.name for path in out.parent.iterdir()) == ["model.onnx", "words.npz"]
    assert "0 of 9216" in printed and "written: " + str(out) in printed.replace("\n", "")
    assert re.search(r"ONNX Runtime takes \d+\.\d\d of torch's time", printed)
    assert "torch.onnx" not in printed  # the exporter's own remarks

    # What was written works, from Python and in image_demo.
    scene = make_scene("val", 0)[0].image
    result = OnnxSegmenter(out)(scene)
    assert result.classes == ("cat", "a red bus")
    Image.fromarray(scene).save(tmp_path / "photo.png")
    picture = tmp_path / "drawn.png"
    assert (
        image_demo.main([str(tmp_path / "photo.png"), "--onnx", str(out), "--out", str(picture)])
        == 0
    )
    share = np.bincount(result.labels.ravel(), minlength=2).max() / result.labels.size
    assert f"{share:.0%}" in capsys.readouterr().out
    assert picture.is_file()


def test_nothing_is_overwritten(no_work: None, tmp_path: Path) -> None:
    out, words = tmp_path / "model.onnx", tmp_path / "words.npz"
    words.write_text("mine")
    assert f"{words} exist(s) already: --force" in refused(*ARGUMENTS, str(out), "--words", "cat")
    out.write_text("mine")
    message = refused(*ARGUMENTS, str(out), "--words", "cat")
    assert f"{out} and {words} exist(s) already" in message
    assert out.read_text() == words.read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--opset", "11"], "--opset 11 must be from 18"),
        (["--out", "model.pth"], "must end with .onnx"),
    ],
)
def test_options_that_cannot_be(
    no_work: None,
    arguments: list[str],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    refused(*ARGUMENTS, str(tmp_path / "model.onnx"), *arguments)
    assert message in capsys.readouterr().err


def test_files_and_words_that_are_not_there(no_work: None, tmp_path: Path) -> None:
    out = str(tmp_path / "model.onnx")
    assert "no checkpoint 'none.pth'" in refused(ARGUMENTS[0], "none.pth", "--out", out)
    assert "no config 'none.py'" in refused("none.py", ARGUMENTS[1], "--out", out)
    assert "twice" in refused(*ARGUMENTS, out, "--words", "cat, cat")
    (tmp_path / "file").touch()
    assert "cannot be written to" in refused(*ARGUMENTS, str(tmp_path / "file" / "model.onnx"))


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_a_missing_package_is_named(
    no_work: None, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == package else find(name)
    )
    message = refused(*ARGUMENTS, str(tmp_path / "model.onnx"), "--check")
    assert "python -m pip install" in message and package in message


def test_a_file_that_differs_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def differs(*_: Any) -> Iterator[Comparison]:
        yield Comparison((1, 2, 2, 3), 0.5, 7, 100)

    monkeypatch.setattr(export_onnx, "compare", differs)
    monkeypatch.setattr(
        export_onnx, "export_onnx", lambda model, path, *_: path.write_text("a graph")
    )
    out = tmp_path / "model.onnx"
    out.write_text("mine")
    message = refused(*ARGUMENTS, str(out), "--check", "--force", "--words", "cat")
    assert "ONNX Runtime and torch differ" in message
    assert out.read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_image_demo_takes_words_for_an_exported_model_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        image_demo.main(["photo.png", "--words", "words.npz"])
    assert "--words is for --onnx" in capsys.readouterr().err
