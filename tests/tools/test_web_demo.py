"""tools/web_demo.py in a real browser."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pytest
import web_demo
from PIL import Image

from zegclip.datasets import read_image
from zegclip.errors import InputError
from zegclip.files import PROJECT_ROOT

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
ARGUMENTS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
    "--no-first-run", "--window-size=1300,1500",
)  # fmt: skip

CHIPS = "#words .token span"
LEGEND = ".result .legend"
# How many of the pictures there are, once all have come (also those that are out of sight).
LOADED = """
    const all = [...document.querySelectorAll(arguments[0])];
    all.forEach(each => each.loading = "eager");
    return all.every(each => each.complete && each.naturalWidth) && all.length"""
HOVER = "arguments[0].dispatchEvent(new MouseEvent('mouseover', {bubbles: true}))"


def is_up(address: str) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(address, timeout=120).is_success
    return False


@contextlib.contextmanager
def serving(*options: str, **environment: str) -> Iterator[str]:
    """The page's address; the server must live to the end, and then ends when it is told to."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, web_demo.__file__, f"--port={port}", "--mini", *options],
        env=os.environ | {"GRADIO_ANALYTICS_ENABLED": "False"} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    address = f"http://127.0.0.1:{port}/"
    try:
        until = time.monotonic() + 300  # it takes a while to start
        while (ended := process.poll()) is None and not is_up(address):
            assert time.monotonic() < until, "the page does not answer"
            time.sleep(0.2)
        if ended is None:
            yield address
            ended = process.poll()
    finally:
        process.terminate()
    said = process.communicate(timeout=60)[0]
    assert ended is None, said[-3000:]


class Page:
    """The page in a Chromium of its own."""

    def __init__(self, url: str, profile: Path) -> None:
        selenium = pytest.importorskip("selenium", reason="needs selenium: pip install selenium")
        from selenium import webdriver
        from selenium.webdriver.support.ui import WebDriverWait

        options = webdriver.ChromeOptions()
        options.binary_location = str(CHROMIUM)
        for argument in (*ARGUMENTS, f"--user-data-dir={profile}"):
            options.add_argument(argument)
        self.driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
        ignored = [selenium.common.exceptions.WebDriverException]
        # What a condition gives as soon as it is true.
        self.wait = WebDriverWait(self.driver, 120, 0.2, ignored).until
        self.wait(lambda driver: driver.get(url) is None)
        self.find("#picture input[type=file]")

    def find(self, selector: str) -> Any:
        """The first element, as soon as there is one."""
        return self.wait(lambda driver: driver.find_element("css selector", selector))

    def text(self, selector: str) -> str:
        """What an element shows, as soon as it shows any."""
        return self.wait(lambda driver: driver.find_element("css selector", selector).text)

    def texts(self, selector: str) -> list[str]:
        """What the elements show now."""
        return [each.text for each in self.driver.find_elements("css selector", selector)]

    def click(self, selector: str) -> None:
        """At the first element, as soon as nothing lies over it."""
        self.wait(lambda driver: driver.find_element("css selector", selector).click() is None)

    def script(self, code: str, *arguments: Any) -> Any:
        return self.driver.execute_script(code, *arguments)

    def choose(self, file: Path) -> None:
        """Upload a picture in place of the last one."""
        if self.driver.find_elements("css selector", "#picture img"):
            self.click("#picture [aria-label*=emove]")
        self.find("#picture input[type=file]").send_keys(str(file))
        self.find("#picture img")

    def type(self, words: str) -> None:
        """Words in place of the last ones."""
        if self.texts(CHIPS):
            self.click("#words .remove-all")
        self.wait(lambda driver: not self.texts(CHIPS))
        self.find("#words input").send_keys(words)

    def segment(self, words: str, file: Path | None = None) -> None:
        """Choose a picture, type words and press the button."""
        if file is not None:
            self.choose(file)
        self.type(words)
        self.click("#run")

    def example(self, index: int) -> None:
        """Click at one, and wait for what comes last of its answer."""
        self.driver.refresh()
        self.wait(lambda driver: self.script(LOADED, "#examples img") == 4)
        self.driver.find_elements("css selector", "#examples img")[index].click()
        self.wait(lambda driver: self.script(LOADED, ".maps img"))

    def legend_when(self, is_it: Callable[[str], bool]) -> str:
        """The legend as soon as it is as told."""
        self.wait(lambda driver: is_it(" ".join(self.texts(LEGEND))))
        return " ".join(self.texts(LEGEND))

    def message(self) -> str:
        """The message that appears; it is closed."""
        said = self.text("[class*=toast-body]")
        self.click("[class*=toast-close]")
        self.wait(lambda driver: not driver.find_elements("css selector", "[class*=toast-body]"))
        return said


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    if not (CHROMIUM and DRIVER):
        pytest.skip("needs a browser: apt-get install chromium chromium-driver")
    with serving() as address:
        page = Page(address, tmp_path_factory.mktemp("profile"))
        yield page
        page.driver.quit()


@pytest.mark.slow
def test_mistakes_are_messages_and_the_server_lives(page: Page, tmp_path: Path) -> None:
    good, bad, huge = (tmp_path / f"{name}.png" for name in ("good", "bad", "huge"))
    Image.new("RGB", (60, 40), "red").save(good)
    bad.write_bytes(b"this is no picture at all")
    Image.new("L", (8000, 8001)).save(huge)
    page.segment("cat")
    assert "there is no picture yet" in page.message()
    for file, words, message in (
        (bad, "cat", "cannot identify image file"),
        (huge, "cat", "exceeds limit"),
        (good, "", "no words to look for"),
        (good, ", ".join(f"thing {index}" for index in range(61)), "more than 60 classes"),
        (good, "cat, cat, <img src=x onerror=\"document.title='injected'\">", "names twice"),
    ):
        page.segment(words, file)
        assert message in page.message()
    page.click("#picture img")
    assert "segment this picture first" in page.message()
    assert page.driver.title == "Zero-shot segmentation"  # what is typed is never run
    page.segment("cat, dog")
    assert "%" in page.text(LEGEND)


@pytest.mark.slow
def test_upload_type_run_look(page: Page, tmp_path: Path) -> None:
    pixels = np.zeros((120, 200, 3), np.uint8)
    pixels[:, 100:] = (90, 160, 240)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    page.driver.refresh()
    page.find("#picture input[type=file]")
    page.segment("cat, a red bus, <b>sky</b>", tmp_path / "photo.png")
    names = ["cat", "a red bus", "<b>sky</b>"]
    page.wait(lambda driver: page.texts(CHIPS) == names)  # each became a chip
    legend = page.text(LEGEND)
    assert "%" in legend and any(name in legend for name in (*names, "none of these"))
    page.wait(lambda driver: page.script(LOADED, ".result img"))
    size = (
        "const i = document.querySelector('.result img'); return [i.naturalWidth, i.naturalHeight]"
    )
    assert page.script(size) == [200, 120]
    page.wait(lambda driver: page.script(LOADED, ".maps img") == 2)  # and the largest class's
    assert "trusty_map" in page.text(".maps")
    page.click("#picture img")
    for name in (*names, "none of these", "%"):
        page.wait(lambda driver, name=name: name in page.text(".pixel"))


@pytest.mark.slow
def test_an_example_is_answered_and_can_be_asked_on(page: Page) -> None:
    page.example(0)
    words = page.texts(CHIPS)
    legend = page.text(LEGEND)
    assert len(words) == 4 and "%" in legend and "none of these" in legend
    page.click("#options button")
    page.wait(lambda driver: page.script("return !!document.querySelector('#refine input')"))
    page.click("#refine input")
    page.click("#run")
    refined = page.legend_when(lambda text: "%" in text and text != legend)
    page.click("#way input[value=off]")
    page.click("#run")
    page.legend_when(lambda text: "%" in text and "none of these" not in text)
    page.click("#way input[value='set here']")
    threshold = page.find("#threshold input[type=number]")
    threshold.clear()
    threshold.send_keys("1")
    page.click("#run")
    page.legend_when(lambda text: text == "none of these 100.0%")
    assert "none of these 100.0%" not in refined


@pytest.mark.slow
def test_names_show_where_they_are_and_files_are_offered(page: Page, tmp_path: Path) -> None:
    page.example(1)
    page.wait(lambda driver: page.script(LOADED, ".result img"))
    shown = "return document.querySelectorAll('.result img.mask.active').length"
    page.script(HOVER, page.find(LEGEND + "-item"))
    page.wait(lambda driver: page.script(shown) == 1)
    behaviour = {"behavior": "allow", "downloadPath": str(tmp_path)}
    page.driver.execute_cdp_cmd("Browser.setDownloadBehavior", behaviour)
    for button in page.driver.find_elements("css selector", ".result button.sm"):
        file = tmp_path / f"scene1_{button.text}"
        button.click()
        page.wait(lambda driver, file=file: file.exists())
    mask, overlay = (
        Image.open(tmp_path / f"scene1_{name}") for name in ("mask.png", "overlay.jpg")
    )
    assert mask.mode == "P" and mask.size == (480, 480) and mask.info["transparency"] == 255
    assert overlay.width > 480  # and a legend
    coco = json.loads((tmp_path / "scene1_coco.json").read_text())
    assert [each["name"] for each in coco["categories"]] == page.texts(CHIPS)
    assert coco["images"][0]["file_name"] == "scene1.png"


@pytest.mark.slow
def test_a_phone_needs_no_scrolling_sideways(page: Page) -> None:
    phone = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    page.example(2)
    page.click("#options button")
    assert page.script("return [innerWidth, document.documentElement.scrollWidth]") == [390, 390]
    page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.slow
def test_two_methods_answer_side_by_side(page: Page, tmp_path: Path) -> None:
    alone = page.driver.current_url
    with serving("--compare", "training_free_mini") as address:
        page.wait(lambda driver: driver.get(address) is None)
        page.example(3)
        second_maps = ".result:nth-of-type(3) .maps img"
        page.wait(lambda driver: page.script(LOADED, second_maps) == 1)  # no trusty map
        first, second = page.texts(".result")
        assert "mini_model" in first and "training_free_mini" in second
        legends = page.texts(LEGEND)
        assert legends[0] != legends[1] and all("%" in legend for legend in legends)
        page.click("#picture img")
        page.wait(lambda driver: len([text for text in page.texts(".pixel") if "%" in text]) == 2)
    page.driver.get(alone)


@pytest.mark.slow
def test_pictures_of_visitors_are_gone_at_the_end(tmp_path: Path) -> None:
    """Also while a visitor has the page open, and waits for answers."""
    content = io.BytesIO()
    Image.effect_noise((60, 40), 50).save(content, "PNG")
    with httpx.Client(timeout=120) as visitor, serving(TMPDIR=str(tmp_path)) as address:
        (path,) = visitor.post(
            f"{address}gradio_api/upload", files={"files": ("a.png", content.getvalue())}
        ).json()
        assert tmp_path in Path(path).parents and Path(path).is_file()
        answers = visitor.build_request("GET", f"{address}gradio_api/heartbeat/visitor")
        assert visitor.send(answers, stream=True).status_code == 200
    assert not list(tmp_path.rglob("*.png"))


def test_it_listens_here_and_writes_nothing_into_the_installation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    launched: dict[str, Any] = {}
    monkeypatch.setenv("GRADIO_TEMP_DIR", "put back at the end")
    monkeypatch.delenv("GRADIO_TEMP_DIR")
    monkeypatch.setattr("signal.signal", lambda *what: launched.update(signal=what))

    def build_page(inferencers: Any, examples: list[tuple[str, list[str]]]) -> Any:
        files = [Path(file) for file, _ in examples]
        launched["files"] = [file for file in files if file.is_file()]
        launched["uploads"] = Path(os.environ["GRADIO_TEMP_DIR"])
        launched["uploads"].mkdir()
        return SimpleNamespace(launch=launched.update)

    monkeypatch.setattr("zegclip.apis.web_page.build_page", build_page)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)  # put back
    web_demo.main(["--mini"])
    assert launched["server_name"] == "127.0.0.1"
    assert launched["max_file_size"] == "20mb" and launched["state_session_capacity"] == 20
    assert len(launched["files"]) == 4
    assert not any(PROJECT_ROOT in file.parents for file in launched["files"])
    assert not launched["uploads"].exists()
    assert launched["signal"] == (signal.SIGTERM, signal.default_int_handler)
    with pytest.raises(InputError, match="no checkpoint 'nowhere.pth'"):
        web_demo.main(["--config", "tagclip_mini_inductive", "--checkpoint", "nowhere.pth"])
    with pytest.raises(InputError, match="--compare takes a config and a checkpoint"):
        web_demo.main(["--mini", "--compare", "one.py", "two.pth", "three.pth"])
    with socket.create_server(("127.0.0.1", 0)) as taken:
        for port in (taken.getsockname()[1], 99999):
            with pytest.raises(InputError, match=f"--port {port}: .*choose another"):
                web_demo.main(["--mini", "--port", str(port)])


def test_without_gradio_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "zegclip.apis.web_page", raising=False)
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(InputError, match='the page needs Gradio .*: pip install "gradio>=6"'):
        web_demo.main(["--mini"])


def test_photographs_are_there_to_be_tried() -> None:
    for file, words in web_demo.photographs():
        assert min(read_image(file).shape[:2]) > 200 and words
