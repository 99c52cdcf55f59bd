"""tools/web_demo.py in a real browser, and its answers without one."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from zegclip.errors import InputError

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(Path(__file__).parent / "browser"))

from webdriver import CHROMIUM, DRIVER, Browser, free_port, wait_for  # noqa: E402

needs_chromium = pytest.mark.skipif(
    not (CHROMIUM and DRIVER),
    reason="needs a Chromium: apt-get install chromium chromium-driver",
)
WORDS = "#words textarea, #words input"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The page's address; the server must live to the end."""
    port = free_port()
    environment = os.environ | {"OMP_NUM_THREADS": "1", "GRADIO_ANALYTICS_ENABLED": "False"}
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "tools" / "web_demo.py"), f"--port={port}", "--max-classes=9"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    url = f"http://127.0.0.1:{port}/"
    try:
        wait_for(lambda: urllib.request.urlopen(url, timeout=5).status == 200, "the server", 120)
        yield url
        assert process.poll() is None, process.stdout and process.stdout.read()[-3000:]
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture
def browser(server: str) -> Iterator[Browser]:
    with Browser() as browser:
        browser.open(server)
        wait_for(lambda: browser.find("#picture input[type=file]"), "the page")
        yield browser


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half dark, half bright, with a wide format."""
    pixels = np.zeros((120, 200, 3), np.uint8)
    pixels[:, 100:] = (90, 160, 240)
    path = tmp_path_factory.mktemp("pictures") / "photo.png"
    Image.fromarray(pixels).save(path)
    return path


def upload(browser: Browser, file: Path) -> None:
    browser.upload("#picture input[type=file]", file)
    wait_for(lambda: browser.find("#picture img"), "the uploaded picture")


def result_size(browser: Browser) -> list[int]:
    """Width and height of the drawn result that has arrived; 0 before."""
    return browser.script(
        "const i = document.querySelector('#overlay img');"
        "return i && i.complete ? [i.naturalWidth, i.naturalHeight] : [0, 0]"
    )


def message(browser: Browser) -> str:
    return wait_for(lambda: browser.text("[class*=toast-body]"), "a message")


@needs_chromium
@pytest.mark.slow
def test_upload_type_run_look(browser: Browser, photo: Path) -> None:
    upload(browser, photo)
    browser.type(WORDS, "cat, a red bus, <b>sky</b>")
    browser.click("#run")
    wait_for(lambda: result_size(browser)[0], "the drawn result")
    width, height = result_size(browser)
    assert width / height == pytest.approx(200 / 120, rel=0.02)
    legend = wait_for(lambda: browser.text("#legend"), "the legend")
    assert "%" in legend and any(name in legend for name in ("cat", "a red bus", "<b>sky</b>"))
    wait_for(lambda: browser.find("#trusty img"), "the trusty map")
    wait_for(lambda: browser.find("#attention img"), "the attention")
    browser.click("#overlay img")
    scores = wait_for(
        lambda: (text := browser.text("#pixel")) and "a red bus" in text and text, "the scores"
    )
    assert "cat" in scores and "%" in scores


@needs_chromium
@pytest.mark.slow
def test_mistakes_are_messages_and_the_server_lives(
    browser: Browser, server: str, photo: Path, tmp_path: Path
) -> None:
    browser.click("#run")
    assert "there is no picture yet" in message(browser)

    browser.open(server)
    wait_for(lambda: browser.find("#picture input[type=file]"), "the page")
    upload(browser, photo)
    browser.type(WORDS, " ")
    browser.click("#run")
    assert "no words to look for" in message(browser)

    browser.open(server)
    wait_for(lambda: browser.find("#picture input[type=file]"), "the page")
    (tmp_path / "bad.png").write_bytes(b"this is no picture at all")
    upload(browser, tmp_path / "bad.png")
    browser.click("#run")
    assert "the uploaded file is no image" in message(browser)

    browser.open(server)
    wait_for(lambda: browser.find("#picture input[type=file]"), "the page")
    Image.new("L", (8000, 8000)).save(tmp_path / "huge.png")
    upload(browser, tmp_path / "huge.png")
    browser.click("#run")
    assert "64 million pixels" in message(browser)

    browser.open(server)
    wait_for(lambda: browser.find("#picture input[type=file]"), "the page")
    upload(browser, photo)
    browser.type(WORDS, ", ".join(f"thing {index}" for index in range(10)))
    browser.click("#run")
    assert "10 classes are more than the 9" in message(browser)

    browser.open(server)
    wait_for(lambda: browser.find("#picture input[type=file]"), "the page")
    upload(browser, photo)
    browser.type(WORDS, "cat, dog")
    browser.click("#run")
    wait_for(lambda: result_size(browser)[0], "the drawn result, after all of that")


def test_what_was_typed_is_shown_as_text_never_as_html(photo: Path) -> None:
    from zegclip.apis import SegmentationResult
    from zegclip.apis.web_page import Session, _legend, _scores_at

    image = np.zeros((4, 8, 3), np.uint8)
    result = SegmentationResult(np.zeros((4, 8), np.int64), np.ones((1, 4, 8)), ["<b>x</b>"], image)
    legend = _legend(result)
    assert "&lt;b&gt;x&lt;/b&gt; 100.0%" in legend and "<b>" not in legend

    scores = np.arange(2 * 2 * 4).reshape(2, 2, 4).astype(np.float16)
    session = Session("f", None, ("a", "b"), scores, (80, 40))  # type: ignore[arg-type]
    event = type("Event", (), {})()
    event.index = (79, 39)
    assert _scores_at(session, event) == {"a": 7.0, "b": 15.0}
    event.index = (0, 0)
    assert _scores_at(session, event) == {"a": 0.0, "b": 8.0}


def test_other_kinds_of_files_are_never_decoded(tmp_path: Path) -> None:
    """Pillow would hand an EPS to Ghostscript, whatever the file is called."""
    from zegclip.apis import read_image

    (tmp_path / "evil.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    with pytest.raises(InputError, match="no image that can be read"):
        read_image(tmp_path / "evil.png")


def test_it_listens_on_this_machine_only_unless_told(capsys: pytest.CaptureFixture[str]) -> None:
    from tools import web_demo

    assert web_demo.parse_args([]).host == "127.0.0.1"
    with pytest.raises(SystemExit):
        web_demo.parse_args(["--port", "99999"])
    assert "--port 99999 is no port" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        web_demo.parse_args(["--max-classes", "0"])
    assert "--max-classes must be at least 1" in capsys.readouterr().err


def test_a_missing_checkpoint_ends_it_before_anything_is_served() -> None:
    from tools import web_demo

    with pytest.raises(SystemExit, match="no checkpoint 'nowhere.pth'"):
        web_demo.main(
            ["--config", "configs/tagclip_mini_inductive.py", "--checkpoint", "nowhere.pth"]
        )
