"""Whatever is given wrong is one message with culprit and fix, and nothing is half written."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio
import numpy as np
import pytest
from PIL import Image

from tests.tools.wrong_inputs import BOM, CONFIG, HEIGHT, MODEL, ROWS, WIDTH, Wrong, turned
from zegclip.apis import ZeroShotInferencer
from zegclip.apis.web_answers import OFF, SET_HERE, Answers
from zegclip.datasets import read_mask
from zegclip.files import PROJECT_ROOT, cache_folder

# What a run that is stopped leaves: its log, and the config that it ran with.
LOGS = re.compile(r"work_dirs/mine/(\d+_\d+/.*|mine\.py)|was_here")


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which everything is right: two images for training and two for validation."""
    root, rng = tmp_path_factory.mktemp("right"), np.random.default_rng(0)
    for index, name in enumerate("abcd"):
        labels = np.full((HEIGHT, WIDTH), index % 2, np.uint8)
        labels[:, 30:], labels[:2] = 2, 255
        pixels = rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
        for folder, file, values in (
            ("images", f"{name}.jpg", pixels),
            ("masks", f"{name}.png", labels),
        ):
            (root / "data" / folder).mkdir(parents=True, exist_ok=True)
            Image.fromarray(values).save(root / "data" / folder / file)
    (root / "data" / "train.txt").write_text("a\nb\n")
    (root / "data" / "val.txt").write_text("c\nd\n")
    (root / "mine.py").write_text(CONFIG)
    shutil.copy(MODEL, root / "model.pth")
    return root


@pytest.fixture
def folder(right: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, the working directory."""
    monkeypatch.chdir(shutil.copytree(right, tmp_path / "here"))
    return tmp_path / "here"


def put(row: Wrong) -> None:
    """Write what is wrong into the working directory."""
    for name, content in row.files.items():
        file = Path(name)
        if content is None:
            file.unlink()
        elif isinstance(content, Image.Image):
            content.save(file)
        elif callable(content):
            content(file)
        else:
            file.write_bytes(content.encode() if isinstance(content, str) else content)
    if row.config:
        Path("mine.py").write_text(f"{CONFIG}{row.config}\n")


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_the_page_says_how_many() -> None:
    assert len({row.given for row in ROWS}) == len(ROWS)
    said = (PROJECT_ROOT / "docs" / "reliability.md").read_text()
    assert f"| {len(ROWS)} wrong inputs " in said
    assert f"{len(REQUESTS)} requests of the page: each is one message" in said


@pytest.mark.parametrize("row", ROWS, ids=[row.given for row in ROWS])
def test_one_message(
    row: Wrong, folder: Path, run_tool: Callable[..., None], capfd: pytest.CaptureFixture[str]
) -> None:
    put(row)
    before = files(folder)
    with pytest.raises(SystemExit) as stopped:
        run_tool(*shlex.split(row.command))
    said, code = capfd.readouterr(), stopped.value.code
    # Python prints a text and gives 1; argparse gives 2; a list of problems is printed before.
    assert code in (1, 2) or str(code).startswith("error: ")
    message = said.err + said.out if code in (1, 2) else str(code)
    assert re.search(row.says, message, re.DOTALL), message
    assert "Traceback" not in said.err + said.out
    assert [name for name in files(folder) - before if not LOGS.fullmatch(name)] == []
    assert not Path("was_here").exists()


# --- and what is right works ---------------------------------------------------------------------


def unusual() -> dict[str, Image.Image | Callable[[Path], None]]:
    """Right photographs that are seldom met."""
    rng = np.random.default_rng(1)
    size = (WIDTH, HEIGHT)
    deep = Image.fromarray(rng.integers(0, 65536, size[::-1]).astype(np.uint16))
    return {
        "deep.png": deep,
        "cmyk.jpg": Image.new("CMYK", size),
        "grey.jpg": Image.new("L", size),
        "bilevel.png": Image.new("1", size),
        "alpha.png": Image.new("RGBA", size),
        "palette.png": Image.new("P", size),
        "turned.jpg": turned,
        "one.png": Image.new("RGB", (1, 1)),
        "wide.png": Image.new("RGB", (20000, 10)),
    }


def test_unusual_photographs_are_trained_on_and_tested(
    folder: Path, run_tool: Callable[..., None]
) -> None:
    shapes = {"one": (1, 1), "wide": (10, 20000), "turned": (WIDTH, HEIGHT)}
    for name, image in unusual().items():
        file = Path("data/images", name)
        image(file) if callable(image) else image.save(file)
        shape = shapes.setdefault(file.stem, (HEIGHT, WIDTH))
        labels = np.zeros(shape, np.uint8)
        labels[:, shape[1] // 2 :] = 2
        Image.fromarray(labels).save(f"data/masks/{file.stem}.png")
    # As Windows writes it.
    lines = BOM + "\r\n".join([*shapes, "", ""]).encode()
    for name in ("train", "val"):
        Path(f"data/{name}.txt").write_bytes(lines)
    run_tool("test.py", "mine.py", "model.pth", "--out", "maps")
    report = json.loads(Path("work_dirs/mine/report.json").read_text())
    assert report["protocol"]["images"] == len(shapes) == 9
    assert {name: read_mask(f"maps/{name}.png").shape for name in shapes} == shapes
    batch = ["train_dataloader.batch_size=9", "val_dataloader=None"]
    run_tool("train.py", "mine.py", "--work-dir", "trained", "--cfg-options", *batch)
    assert Path("trained/iter_1.pth").is_file()


# --- requests of the web page --------------------------------------------------------------------


@pytest.fixture(scope="module")
def answers() -> Answers:
    return Answers([ZeroShotInferencer(checkpoint=MODEL)])


REQUESTS: list[tuple[str | None, list[str], list[Any], str]] = [
    (None, ["cat"], [], "no picture yet: upload one"),
    ("nowhere.png", ["cat"], [], "nowhere.png: there is no such file"),
    ("mine.py", ["cat"], [], "mine.py: not a readable image"),
    ("data/images/c.jpg", ["cat"], [], "c.jpg: not a readable image"),  # cut, see below
    ("data", ["cat"], [], "data: there is no such file"),
    ("data/images/a.jpg", [], [], "no words to look for"),
    ("data/images/a.jpg", ["  ", ","], [], "no words to look for"),
    ("data/images/a.jpg", ["cat", "Cat"], [], "names twice"),
    ("data/images/a.jpg", [f"thing {i}" for i in range(61)], [], "more than 60 classes"),
    ("data/images/a.jpg", ["a " * 90], [], "too long for the text encoder"),
    ("data/images/a.jpg", ["a" * 10**6], [], "more than 4000 letters"),
    ("data/images/a.jpg", ["cat"], [SET_HERE, 0, "a" * 4000], "more than 4000 letters"),
    ("data/images/a.jpg", ["cat"], [SET_HERE, 0, "a " * 90], "too long for the text encoder"),
    ("data/images/a.jpg", ["cat"], [SET_HERE, 0, "a," * 61], "more than 60 classes"),
    ("data/images/a.jpg", ["cat"], [OFF, 0, "", False, "a," * 61], "more than 60 classes"),
    ("data/images/a.jpg", ["cat"], [OFF, 0, "", False, "dog"], "seen names no class: 'dog'"),
    ("data/images/a.jpg", ["cat"], [SET_HERE, 2.0], "2.0 is not between 0 and 1"),
    ("data/images/a.jpg", ["cat"], [SET_HERE, 0.5, "sky, sky"], "names twice"),
]


@pytest.mark.parametrize(("file", "words", "options", "says"), REQUESTS)
def test_one_message_on_the_page(
    answers: Answers, folder: Path, file: str | None, words: list[str], options: list, says: str
) -> None:
    Path("data/images/c.jpg").write_bytes(Path("data/images/c.jpg").read_bytes()[:-500])
    with pytest.raises(gradio.Error, match=says):
        answers.ask(None, file, words, *options)


def test_words_of_visitors_leave_no_files(answers: Answers, folder: Path) -> None:
    before = sorted(cache_folder().iterdir())
    answers.ask(None, "data/images/a.jpg", ["a new cat"], SET_HERE, 0.2, "a new sky")
    assert sorted(cache_folder().iterdir()) == before


def test_what_was_not_segmented_has_no_scores_on_the_page(answers: Answers, folder: Path) -> None:
    session, *_ = answers.ask(None, "data/images/a.jpg", ["cat", "dog"])
    for ask in (
        lambda: answers.scores_at(None, "data/images/a.jpg", 0, 0),
        lambda: answers.scores_at(session, "data/images/b.jpg", 0, 0),
        lambda: answers.maps(0, session, None, "cat"),
    ):
        with pytest.raises(gradio.Error, match="segment this picture first"):
            ask()
