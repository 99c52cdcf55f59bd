"""tools/image_demo.py: what it writes, what it refuses, and that broken pictures stop nothing."""

from __future__ import annotations

import json
import os
import shutil
from fractions import Fraction
from pathlib import Path
from typing import Any

import image_demo
import numpy as np
import pytest
from PIL import Image

from zegclip.apis.outputs import VideoReader, video_writer
from zegclip.datasets.mini.scenes import make_scene
from zegclip.errors import InputError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two scenes and a broken picture in ``photos``; the working directory is its parent."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "empty").mkdir()
    for index, name in enumerate(("a.png", "b.jpg")):
        Image.fromarray(make_scene("test", index)[0].image).save(tmp_path / "photos" / name)
    (tmp_path / "photos" / "c.jpg").write_bytes(b"no picture")
    (tmp_path / "clip.mp4").write_bytes(b"no video")
    (tmp_path / "photos" / "notes.txt").write_text("not looked at")
    (tmp_path / "photos" / "._a.png").write_bytes(b"of a Mac, no picture")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_folder_with_a_broken_picture() -> None:
    arguments = ["photos", "--mini", "--classes", "bottle, plant", "--json", "out/areas.json"]
    with pytest.raises(InputError, match=r"^not segmented: photos/c\.jpg: not a readable"):
        image_demo.main(arguments)
    written = json.loads(Path("out/areas.json").read_text())
    assert written["classes"] == ["bottle", "plant"] and written["setting"] == "cross_dataset"
    assert list(written["images"]) == ["photos/a.png", "photos/b.jpg"]
    for entry in written["images"].values():
        assert sum(entry["areas"].values()) == pytest.approx(1)
        assert (entry["width"], entry["height"]) == (96, 96)
    assert list(written["failed"]) == ["photos/c.jpg"]
    left = sorted(path.name for path in Path("work_dirs/image_demo").iterdir())
    assert left == ["a.png", "b.png"]


def test_nothing_but_a_picture(capsys: pytest.CaptureFixture[str]) -> None:
    image_demo.main(["photos/a.png", "--mini", "--json", "a.json"])
    written = json.loads(Path("a.json").read_text())
    assert len(written["classes"]) == 20 and "pottedplant" in written["classes"]
    areas = written["images"]["photos/a.png"]["areas"]
    # The scene holds a bottle and a chair; the background has no class of its own.
    assert areas["chair"] == pytest.approx(0.126, abs=0.06)
    assert areas["bottle"] == pytest.approx(0.046, abs=0.05)
    assert Path(written["checkpoint"]).name == "mini_model.pth"
    printed = capsys.readouterr()
    (line,) = printed.out.splitlines()
    assert line.startswith("photos/a.png  ") and "chair 17" in line and not printed.err


def test_one_word_is_not_everywhere(capsys: pytest.CaptureFixture[str]) -> None:
    image_demo.main(["photos/a.png", "--mini", "--classes", "cat"])
    assert "none of these 100.0%" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["photos/a.png", "none.jpg"], "none.jpg: there is no such image"),
        (["x/*.png"], r"x/\*.png: there is no such image"),
        (["empty"], "empty: there is no such image"),
        (["photos", "--out", "one.png"], "one file for 3 images"),
        (["photos/a.png", "--out", "x.mp4"], r"x\.mp4: photos/a\.png becomes a \.png, or name"),
        (["photos/a.png", "--out", "x.jpg"], r"x\.jpg: photos/a\.png becomes a \.png, or name"),
        (["clip.mp4", "--out", "x.png"], r"x\.png: clip\.mp4 becomes a \.mp4, or name a folder"),
        (["photos/a.png", "--out", "photos"], r"photos/a\.png would replace an image by a picture"),
        (["photos/a.png", "--classes", "cat, Cat"], "names twice"),
        (["photos/a.png", "--classes", "cat", "--seen", "dog"], "seen names no class: 'dog'"),
        (["photos/a.png"], 'looks for what it is told: --classes "cat, dog"'),
        (["photos/a.png", "--checkpoint", "none.pth"], "no checkpoint 'none.pth'"),
        (["photos/a.png", "--mini", "--revision", "v1"], "--revision is of --model"),
        (["photos/a.png", "--model", "x/y", "--config", "z"], "--model brings its own config"),
        (["photos/a.png", "--model", "empty"], "empty holds no config.json"),
    ],
)
def test_what_is_refused_before_work(arguments: list[str], message: str, folder: Path) -> None:
    with pytest.raises(InputError, match=message):
        image_demo.main(arguments)
    assert not list(folder.glob("work_dirs/**/*.png"))


def test_files_of_other_programs() -> None:
    arguments = ["photos/a.png", "photos/b.jpg", "--mini", "--classes", "bottle, plant"]
    image_demo.main([*arguments, "--out", "out", "--save", "index", "coco", "labelme", "html"])
    written = sorted(str(f) for f in Path("out").rglob("*.*"))
    assert written == [
        "out/a.png", "out/b.png", "out/coco.json", "out/labelme/a.json", "out/labelme/b.json",
        "out/labels/a.png", "out/labels/b.png", "out/report.html",
    ]  # fmt: skip
    assert json.loads(Path("out/labelme/b.json").read_text())["imagePath"] == "../../photos/b.jpg"
    page = Path("out/report.html").read_text()
    assert "mini_model.pth" in page and "photos/b.jpg" in page and "none of these" in page


def test_an_interrupted_run_keeps_what_was_done(monkeypatch: pytest.MonkeyPatch) -> None:
    demo_image = image_demo.demo_image

    def interrupted(image: Path, *rest: Any) -> dict[str, Any]:
        if image.name == "b.jpg":
            raise KeyboardInterrupt
        return demo_image(image, *rest)

    monkeypatch.setattr(image_demo, "demo_image", interrupted)
    arguments = ["photos", "--mini", "--classes", "bottle, plant", "--json", "out/areas.json"]
    with pytest.raises(KeyboardInterrupt):
        image_demo.main([*arguments, "--out", "out", "--save", "coco", "html"])
    assert list(json.loads(Path("out/areas.json").read_text())["images"]) == ["photos/a.png"]
    (image,) = json.loads(Path("out/coco.json").read_text())["images"]
    assert image["file_name"] == "../photos/a.png"
    assert "photos/a.png" in Path("out/report.html").read_text()


def test_a_video_has_the_same_colours_in_every_frame() -> None:
    pytest.importorskip("av")
    with video_writer("clip.mp4", 5) as add:
        for index in (0, 2):
            add(make_scene("test", index)[0].image)
    arguments = ["clip.mp4", "photos/a.png", "--mini", "--classes", "cat, bottle, plant"]
    image_demo.main([*arguments, "--out", "out", "--save", "index", "--json", "out/areas.json"])
    labels = sorted(Path("out/labels").rglob("*.png"))
    assert [str(file.relative_to("out/labels")) for file in labels] == [
        "a.png", "clip/000001.png", "clip/000002.png"
    ]  # fmt: skip
    assert len({tuple(Image.open(file).getpalette()) for file in labels}) == 1
    frames, times = zip(*VideoReader("out/clip.mp4"))
    assert times == (0, Fraction(1, 5))
    assert len(frames) == 2 and frames[0].shape[1] > 96
    # The legend is the same though other things are seen.
    assert np.abs(frames[0][:, 100:].astype(int) - frames[1][:, 100:]).mean() < 3
    entry = json.loads(Path("out/areas.json").read_text())["images"]["clip.mp4"]
    assert entry["frames"] == 2 and sum(entry["areas"].values()) == pytest.approx(1)
    with pytest.raises(InputError, match="--save html is for photographs"):
        image_demo.main(["clip.mp4", "--mini", "--save", "html"])


def test_patterns_and_same_names() -> None:
    Path("more").mkdir()
    for name in ("more/a.png", "more/d.png"):
        Path(name).touch()
    images = image_demo.find_images(["photos/[ab].*", "photos/a.png", "more"])
    assert [str(image) for image in images] == [
        "photos/a.png", "photos/b.jpg", "more/a.png", "more/d.png"
    ]  # fmt: skip
    names = [output.name for output in image_demo.choose_outputs(images, Path("drawn"))]
    assert names == ["0_a.png", "b.png", "2_a.png", "d.png"]


def test_no_two_images_share_a_file() -> None:
    """Nor do they where case does not count, on a Mac and on Windows."""
    images = [Path(name) for name in ("a/cat.jpg", "b/Cat.jpg", "c/1_cat.jpg", "d/0_0_cat.jpg")]
    names = [output.name for output in image_demo.choose_outputs(images, Path("drawn"))]
    assert names == ["0_cat.png", "1_1_Cat.png", "1_cat.png", "0_0_cat.png"]
    with pytest.raises(InputError, match="would replace an image"):
        image_demo.choose_outputs([Path("photos/A.PNG")], Path("photos"))


def test_what_is_saved_beside_images_might_replace_masks() -> None:
    arguments = ["photos", "--mini", "--classes", "bottle", "--out", ".", "--save", "index"]
    with pytest.raises(InputError, match=r"--save writes .* holds photos/a\.png.*another --out"):
        image_demo.main(arguments)
    assert not Path("labels").exists()


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("auto", True),
        ("Off", False),
        ("none", False),
        ("0.5", "0.5"),
        ("0.4, sky", "0.4, sky"),
        ("空", "空"),
    ],
)
def test_background(text: str, meant: object) -> None:
    assert image_demo.read_background(text) == meant


def test_pictures_of_a_folder_that_are_not_read_are_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("d.heic", "E.HEIC", "f.dng", "g.JFIF"):
        (Path("photos") / name).touch()
    names = [image.name for image in image_demo.find_images(["photos"])]
    assert names == ["a.png", "b.jpg", "c.jpg", "g.JFIF"]
    said = "photos: skipped: 2 .heic, 1 .dng (convert them to .jpg)\n"
    assert capsys.readouterr().out == said


def test_one_output_that_cannot_be_written_ends_no_batch() -> None:
    long = Path("猫" * 78 + ".png")  # 238 bytes, and with .mp4 or .json no more
    shutil.copy("photos/a.png", long)
    Path("out/b.png").mkdir(parents=True)
    arguments = ["photos/b.jpg", str(long), "--mini", "--out", "out", "--json", "areas.json"]
    with pytest.raises(InputError, match=r"^not segmented: photos/b\.jpg: .*directory"):
        image_demo.main(arguments)
    assert (Path("out") / long).is_file()
    written = json.loads(Path("areas.json").read_text(encoding="utf-8"))
    assert list(written["images"]) == [str(long)] and list(written["failed"]) == ["photos/b.jpg"]


def test_a_video_without_frames_ends_no_batch() -> None:
    av = pytest.importorskip("av")
    with av.open("bare.avi", "w") as container:
        container.add_stream("libx264", rate=25, width=64, height=64)
        container.start_encoding()
    with pytest.raises(InputError, match=r"^not segmented: bare\.avi has no pictures$"):
        image_demo.main(["bare.avi", "photos/a.png", "--mini", "--out", "out"])
    assert [path.name for path in Path("out").iterdir()] == ["a.png"]


def test_names_that_are_no_text_end_no_batch(capfd: pytest.CaptureFixture[str]) -> None:
    """As of an old camera or archive; and one that begins as a home folder does."""
    odd = os.fsdecode(b"photos/\xff.png")
    shutil.copy("photos/a.png", odd)
    shutil.move("photos/a.png", "~a.png")
    arguments = [odd, "~a.png", "--mini", "--classes", "bottle", "--json", "out/areas.json"]
    image_demo.main([*arguments, "--out", "out", "--save", "coco", "labelme", "html"])
    assert r"photos/\udcff.png  " in capfd.readouterr().out
    areas = json.loads(Path("out/areas.json").read_text(encoding="utf-8"))
    assert list(areas["images"]) == [odd, "~a.png"]
    coco = json.loads(Path("out/coco.json").read_text(encoding="utf-8"))
    assert coco["images"][0]["file_name"] == f"../{odd}"
    (labelme, _) = sorted(Path("out/labelme").iterdir(), key=lambda file: "~" in file.name)
    assert json.loads(labelme.read_text(encoding="utf-8"))["imagePath"] == f"../../{odd}"
    assert r"<h2>photos/\udcff.png</h2>" in Path("out/report.html").read_text(encoding="utf-8")
    with pytest.raises(InputError, match=r"~nobody_at_all\.png: there is no such image"):
        image_demo.main(["~nobody_at_all.png", "--mini"])


def test_frames_of_a_longer_video_are_not_left() -> None:
    pytest.importorskip("av")
    arguments = ["a: clip.mp4", "--mini", "--out", "out", "--save", "index", "labelme"]
    for count in (3, 1):
        with video_writer("a: clip.mp4", 5) as add:
            for _ in range(count):
                add(make_scene("test", 0)[0].image)
        image_demo.main(arguments)
        own = Path("out/labels/a: clip/corrected.png")
        own.touch()
    left = sorted(str(file.relative_to("out")) for file in Path("out").rglob("*.*"))
    assert left == [
        "a: clip.mp4", "labelme/a: clip/000001.json", "labels/a: clip/000001.png",
        "labels/a: clip/corrected.png",
    ]  # fmt: skip
