"""tools/web_demo.py in a real browser."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import web_demo
from PIL import Image

from zegclip.errors import InputError
from zegclip.files import PROJECT_ROOT

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
ARGUMENTS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
    "--no-first-run", "--window-size=1300,1500",
)  # fmt: skip


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The page's address; the server must live to the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, web_demo.__file__, f"--port={port}", "--mini"],
        env=os.environ | {"GRADIO_ANALYTICS_ENABLED": "False"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    yield f"http://127.0.0.1:{port}/"
    ended = process.poll()
    process.terminate()
    assert ended is None, process.communicate()[0][-3000:]


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
        self.wait(lambda driver: driver.get(url) is None)  # the server takes a while to start
        self.find("#picture input[type=file]")

    def find(self, selector: str) -> Any:
        """The first element, as soon as there is one."""
        return self.wait(lambda driver: driver.find_element("css selector", selector))

    def text(self, selector: str) -> str:
        """What an element shows, as soon as it shows any."""
        return self.wait(lambda driver: driver.find_element("css selector", selector).text)

    def segment(self, words: str, file: Path | None = None) -> None:
        """Choose a picture in place of the last one, type words and press the button."""
        if file is not None:
            for remove in self.driver.find_elements("css selector", "#picture [aria-label*=emove]"):
                remove.click()
            self.find("#picture input[type=file]").send_keys(str(file))
            self.find("#picture img")
        field = self.find("#words textarea, #words input")
        field.clear()
        field.send_keys(words)
        self.find("#run").click()

    def message(self) -> str:
        """The message that appears; it is closed."""
        said = self.text("[class*=toast-body]")
        self.find("[class*=toast-close]").click()
        self.wait(lambda driver: not driver.find_elements("css selector", "[class*=toast-body]"))
        return said


@pytest.fixture(scope="module")
def page(server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    if not (CHROMIUM and DRIVER):
        pytest.skip("needs a browser: apt-get install chromium chromium-driver")
    page = Page(server, tmp_path_factory.mktemp("profile"))
    yield page
    page.driver.quit()


@pytest.mark.slow
def test_mistakes_are_messages_and_the_server_lives(page: Page, tmp_path: Path) -> None:
    good, bad, huge = (tmp_path / f"{name}.png" for name in ("good", "bad", "huge"))
    Image.new("RGB", (60, 40), "red").save(good)
    bad.write_bytes(b"this is no picture at all")
    Image.new("L", (8000, 8000)).save(huge)
    page.segment("cat")
    assert "there is no picture yet" in page.message()
    for file, words, message in (
        (bad, "cat", "cannot identify image file"),
        (huge, "cat", "exceeds limit"),
        (good, " ", "no words to look for"),
        (good, ", ".join(f"thing {index}" for index in range(61)), "more than 60 classes"),
        (
            good,
            "cat, cat, <img src=x onerror=\"document.title='injected'\">",
            "names twice",
        ),
    ):
        page.segment(words, file)
        assert message in page.message()
    assert page.driver.title == "Zero-shot segmentation"  # what is typed is never run
    page.segment("cat, dog")
    assert "%" in page.text("#overlay [class*=legend]")


@pytest.mark.slow
def test_upload_type_run_look(page: Page, tmp_path: Path) -> None:
    pixels = np.zeros((120, 200, 3), np.uint8)
    pixels[:, 100:] = (90, 160, 240)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    page.driver.refresh()
    page.find("#picture input[type=file]")
    page.segment("cat, a red bus, <b>sky</b>", tmp_path / "photo.png")
    legend = page.text("#overlay [class*=legend]")
    names = ("cat", "a red bus", "<b>sky</b>", "none of these")
    assert "%" in legend and any(name in legend for name in names)
    image = page.find("#overlay img")
    assert page.driver.execute_script(
        "return [arguments[0].naturalWidth, arguments[0].naturalHeight]", image
    ) == [200, 120]
    maps = page.wait(
        lambda driver: (found := driver.find_elements("css selector", "#maps img"))[1:] and found
    )
    assert len(maps) == 2 and "trusty_map" in page.text("#maps")  # and the largest class's
    page.find("#picture img").click()
    for name in ("cat", "a red bus", "<b>sky</b>", "%"):
        page.wait(lambda driver, name=name: name in page.text("#pixel"))


def test_it_listens_here_and_writes_nothing_into_the_installation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    launched: dict[str, Any] = {}

    def build_page(inferencer: Any, examples: list[tuple[str, str]]) -> Any:
        files = [Path(file) for file, _ in examples]
        launched["files"] = [file for file in files if file.is_file()]
        return SimpleNamespace(launch=launched.update)

    monkeypatch.setattr(web_demo, "build_page", build_page)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)  # put back
    web_demo.main(["--mini"])
    assert launched["server_name"] == "127.0.0.1"
    assert len(launched["files"]) == 4
    assert not any(PROJECT_ROOT in file.parents for file in launched["files"])
    with pytest.raises(InputError, match="no checkpoint 'nowhere.pth'"):
        web_demo.main(["--config", "tagclip_mini_inductive", "--checkpoint", "nowhere.pth"])
