"""tools/image_demo.py: what it writes, what it refuses, and that broken pictures stop nothing."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from zegclip.datasets.mini.scenes import make_scene

SCRIPT = Path(__file__).parents[2] / "tools" / "image_demo.py"


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("image_demo", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two scenes and a broken picture in ``photos``; the working directory is its parent."""
    (tmp_path / "photos").mkdir()
    for index, name in enumerate(("a.png", "b.jpg")):
        Image.fromarray(make_scene("val", index)[0].image).save(tmp_path / "photos" / name)
    (tmp_path / "photos" / "c.jpg").write_bytes(b"no picture")
    (tmp_path / "photos" / "notes.txt").write_text("not looked at")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(tool: ModuleType, *arguments: str) -> str:
    with pytest.raises(SystemExit) as stop:
        tool.main([*arguments, "--device", "cpu"])
    return str(stop.value.code)


def test_a_folder_with_a_broken_picture(
    tool: ModuleType, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["photos", "--classes", "bottle, plant", "--json", "out/areas.json"]
    assert tool.main([*arguments, "--device", "cpu"]) == 1
    written = json.loads((folder / "out" / "areas.json").read_text())
    assert written["classes"] == ["bottle", "plant"]
    assert written["setting"] == "cross_dataset"
    assert list(written["images"]) == ["photos/a.png", "photos/b.jpg"]
    for entry in written["images"].values():
        assert sum(entry["areas"].values()) == pytest.approx(1)
        assert (entry["width"], entry["height"]) == (96, 96)
        with Image.open(entry["picture"]) as picture:
            assert picture.height >= 96
    assert list(written["failed"]) == ["photos/c.jpg"]
    printed = capsys.readouterr().out
    assert printed.rstrip().splitlines()[-1].startswith("not segmented  photos/c.jpg is no image")
    left = sorted(path.name for path in (folder / "work_dirs" / "image_demo").iterdir())
    assert left == ["a.png", "b.png"]


def test_nothing_but_a_picture(tool: ModuleType, folder: Path) -> None:
    assert tool.main(["photos/a.png", "--json", "a.json"]) == 0
    written = json.loads(Path("a.json").read_text())
    assert len(written["classes"]) == 20 and "pottedplant" in written["classes"]
    areas = written["images"]["photos/a.png"]["areas"]
    # The scene holds a plant, an aeroplane and a bottle; the background has no class of its own.
    assert areas["pottedplant"] + areas["aeroplane"] + areas["bottle"] > 0.8
    assert Path(written["checkpoint"]).name == "mini_model.pth"


def test_nothing_is_overwritten_without_force(tool: ModuleType, folder: Path) -> None:
    Path("mine.png").write_text("precious")
    command = ["photos/a.png", "--out", "mine.png", "--classes", "cat"]
    assert "mine.png exist(s) already: --force" in refused(tool, *command)
    assert Path("mine.png").read_text() == "precious"
    assert tool.main([*command, "--force", "--opacity", "0"]) == 0
    with Image.open("mine.png") as picture:
        assert picture.size[0] > 96
    before = Path("photos/a.png").read_bytes()
    message = refused(tool, "photos/a.png", "--out", "photos", "--force")
    assert "replaced by its own picture" in message
    assert Path("photos/a.png").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.jpg", "x/*.png"], "none.jpg: no such file\nerror: x/*.png: nothing fits"),
        (["empty"], "no image is in this folder"),
        (["photos", "--out", "one.png"], "one file for 3 images"),
        (["photos/a.png", "--classes", "cat, Cat"], "both 'cat' and 'Cat'"),
        (["photos/a.png", "--classes", ""], "no words"),
        (["photos/a.png", "--classes", "cat", "--seen", "dog"], "seen names 'dog'"),
        (["photos/a.png", "--checkpoint", "none.pth"], "no checkpoint 'none.pth'"),
        (["photos/a.png", "--json", "photos"], "photos is a folder"),
        (["photos/a.png", "--out", "photos/a.png/x"], "cannot be written to"),
    ],
)
def test_what_is_refused_before_work(
    tool: ModuleType, folder: Path, arguments: list[str], message: str
) -> None:
    (folder / "empty").mkdir()
    assert message in refused(tool, *arguments)
    assert not list(folder.glob("work_dirs/**/*.png"))


def test_patterns_and_same_names(tool: ModuleType, folder: Path) -> None:
    Path("more").mkdir()
    for name in ("more/a.png", "more/b.png"):
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(name)
    images = tool.find_images(["photos/[ab].*", "photos/a.png", "more"])
    assert [str(image) for image in images] == [
        "photos/a.png",
        "photos/b.jpg",
        "more/a.png",
        "more/b.png",
    ]
    names = [output.name for output in tool.choose_outputs(images, Path("drawn"))]
    assert names == ["photos_a.png.png", "b.jpg.png", "more_a.png.png", "b.png.png"]


@pytest.mark.slow
def test_from_any_folder_with_help(folder: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for arguments, words in (
        (
            ["--help"],
            'example:\n  python tools/image_demo.py photo.jpg --classes "cat, dog, grass"',
        ),
        (["photos/a.png", "--classes", "bottle"], "bottle 100%"),
    ):
        done = subprocess.run(
            [sys.executable, str(SCRIPT), *arguments],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        assert words in done.stdout
