"""A headless Chromium, driven through ChromeDriver's own protocol (W3C WebDriver): no package."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

T = TypeVar("T")
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the standard's key of an element


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def wait_for(what: Callable[[], T], message: str, seconds: float = 60) -> T:
    """The first result of ``what`` that is true; a page that is not ready is waited for."""
    end = time.monotonic() + seconds
    last: Exception | None = None
    while time.monotonic() < end:
        try:
            if result := what():
                return result
        except (OSError, urllib.error.URLError, LookupError) as error:
            last = error
        time.sleep(0.1)
    raise AssertionError(f"{message} did not come within {seconds} s ({last})")


class Browser:
    """One window; a context that ends the processes."""

    def __enter__(self) -> Browser:
        port = free_port()
        self._process = subprocess.Popen(
            [str(DRIVER), f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self._url = f"http://127.0.0.1:{port}"
        wait_for(lambda: self._send("GET", "/status")["ready"], "ChromeDriver", 30)
        arguments = ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        arguments += ["--window-size=1300,1500"]
        options = {"binary": CHROMIUM, "args": arguments}
        capabilities = {"alwaysMatch": {"goog:chromeOptions": options}}
        session = self._send("POST", "/session", {"capabilities": capabilities})
        self._url += f"/session/{session['sessionId']}"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._send("DELETE", "")
        finally:
            self._process.terminate()
            self._process.wait(10)

    def _send(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        data = json.dumps(body or {}).encode() if method == "POST" else None
        request = urllib.request.Request(
            self._url + path, data, {"Content-Type": "application/json"}, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.loads(answer.read())["value"]
        except urllib.error.HTTPError as error:
            raise LookupError(json.loads(error.read())["value"]["message"]) from error

    def open(self, url: str) -> None:
        self._send("POST", "/url", {"url": url})

    def find(self, selector: str) -> str:
        """The id of the first element; ``LookupError`` where there is none."""
        using = {"using": "css selector", "value": selector}
        return self._send("POST", "/element", using)[_ELEMENT]

    def click(self, selector: str) -> None:
        self._send("POST", f"/element/{self.find(selector)}/click")

    def type(self, selector: str, text: str) -> None:
        """Replace what is in a field."""
        element = self.find(selector)
        self._send("POST", f"/element/{element}/clear")
        if text:
            self._send("POST", f"/element/{element}/value", {"text": text})

    def upload(self, selector: str, file: Path) -> None:
        self._send("POST", f"/element/{self.find(selector)}/value", {"text": str(file)})

    def script(self, text: str) -> Any:
        """The value of a script's ``return``."""
        return self._send("POST", "/execute/sync", {"script": text, "args": []})

    def text(self, selector: str) -> str:
        return self._send("GET", f"/element/{self.find(selector)}/text")

    def screenshot(self, file: Path) -> None:
        file.write_bytes(base64.b64decode(self._send("GET", "/screenshot")))
