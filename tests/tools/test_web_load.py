"""tools/web_demo.py under load: 200 requests of 20 visitors, some with bad intentions."""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import gradio
import httpx
import pytest
import web_demo
from PIL import Image

from zegclip.apis import web_page

VISITORS, REQUESTS = 20, 10  # each
SECRET = "nobody's business"
MEGABYTES_MORE = 500  # 20 sessions are kept, each with its picture's embeddings


class ChangingSet(set[str]):
    """Files of which one is added while another thread looks through them, the first time."""

    def __iter__(self) -> Iterator[str]:
        if "one more" not in self:
            self.add("one more")
            raise RuntimeError("Set changed size during iteration")
        return super().__iter__()


@pytest.fixture
def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The page in this process; uploads are removed after 90 s instead of an hour."""
    build, pages = web_page.build_page, []

    def build_page(*args: Any) -> gradio.Blocks:
        page = build(*args)
        page.delete_cache = (1, 90)  # (on a busy machine some wait for half a minute)
        page.temp_file_sets.insert(0, ChangingSet())
        pages.append(page)
        return page

    monkeypatch.setattr(web_page, "build_page", build_page)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)  # put back
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["--mini", "--device", "cpu", "--port", str(port)]
    server = threading.Thread(target=web_demo.main, args=(options,), daemon=True)
    server.start()
    url, until = f"http://127.0.0.1:{port}", time.monotonic() + 300
    while True:
        with contextlib.suppress(httpx.HTTPError):
            httpx.get(url).raise_for_status()
            break
        assert server.is_alive(), "the page ended before it answered"
        assert time.monotonic() < until, "the page does not answer"
        time.sleep(0.2)
    yield url
    pages[0].close()


def memory() -> float:
    """Of this process, megabytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def png(image: Image.Image) -> bytes:
    content = io.BytesIO()
    image.save(content, "PNG")
    return content.getvalue()


BOMB = png(Image.new("1", (8000, 8001)))  # 8 kB


class Visitor:
    """Speaks to the page as its script in a browser does."""

    def __init__(self, address: str, number: int) -> None:
        self.http = httpx.Client(base_url=f"{address}/gradio_api", timeout=120)
        self.random, self.hash = random.Random(number), f"visitor{number}"
        config = httpx.get(f"{address}/config").json()
        ids = {each["props"].get("elem_id"): each["id"] for each in config["components"]}
        run = [ids["run"], "click"]
        self.ask_id = next(d["id"] for d in config["dependencies"] if run in d["targets"])

    def upload(self, content: bytes, name: str) -> httpx.Response:
        return self.http.post("/upload", files={"files": (name, content)})

    def ask(self, path: str | None, words: Any) -> str:
        """``answer``, or the message of an error."""
        file = path and {"path": path, "meta": {"_type": "gradio.FileData"}}
        data = [None, file, words, "as usual", 0, "", False, ""]
        asked = {"data": data, "fn_index": self.ask_id, "session_hash": self.hash}
        joined = self.http.post("/queue/join", json=asked)
        if joined.status_code != 200:
            return str(joined.status_code)
        said, until = "no answer", time.monotonic() + 90  # (heartbeats come without end)
        with self.http.stream("GET", "/queue/data", params={"session_hash": self.hash}) as events:
            for line in events.iter_lines():
                event = json.loads(line.removeprefix("data: ")) if line else {}
                if event.get("msg") == "process_completed":
                    output = event["output"]
                    said = "answer" if event["success"] else str(output.get("error"))
                elif event.get("msg") == "close_stream" or time.monotonic() > until:
                    break
        return said

    def request(self, number: int, secret: Path) -> tuple[str, str]:
        """One of the kinds, in turn; and what came of it."""
        kind = ("good", "good", "good", "no picture", "bomb", "no words", "their file",
                "their file by name", "a large file", "nonsense")[number]  # fmt: skip
        words = self.random.sample(["cat", "dog", "bottle", "bus", "a red sofa", "plant"], 3)
        name = "../../../photo.png"  # where it would like to be
        if kind == "their file":
            return kind, self.ask(str(secret), words)
        if kind == "their file by name":
            found = self.http.get(f"/file={secret}")
            return kind, "leaked" if SECRET in found.text else str(found.status_code)
        if kind == "a large file":
            return kind, str(self.upload(bytes(21 * 2**20), name).status_code)
        noise = Image.effect_noise((96, 96), self.random.randrange(1, 99))
        content = {"no picture": SECRET.encode(), "bomb": BOMB}.get(kind, png(noise))
        (path,) = self.upload(content, name).json()
        asked = {"no words": [], "nonsense": [1, None]}.get(kind, words)
        return kind, self.ask(path, asked)


@pytest.mark.slow
def test_many_visitors(address: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text(SECRET)
    visitors = [Visitor(address, number) for number in range(VISITORS)]
    assert visitors[0].request(0, secret) == ("good", "answer")
    before = memory()
    jobs = [(visitor, number) for number in range(REQUESTS) for visitor in visitors]
    found: dict[str, Counter[str]] = {}

    def work(visitor: Visitor) -> None:
        order = list(range(REQUESTS))
        visitor.random.shuffle(order)
        for number in order:
            kind, what = visitor.request(number, secret)
            found.setdefault(kind, Counter())[what] += 1

    with ThreadPoolExecutor(VISITORS) as pool:
        list(pool.map(work, visitors))
    print(found, f"{memory() - before:.0f} MB more")
    assert sum(sum(each.values()) for each in found.values()) == len(jobs) == 200
    assert found["good"] == {"answer": 3 * VISITORS}
    bad = Counter(what for kind in found for what in found[kind] if kind != "good")
    assert not {"answer", "leaked", "no answer", "200"} & bad.keys()
    assert visitors[0].request(0, secret) == ("good", "answer")  # it is still there
    assert memory() - before < MEGABYTES_MORE
    # Nothing lies where a name led, and what was uploaded goes.
    assert not list(tmp_path.parent.glob("*.png")) and not list(tmp_path.glob("*.png"))
    uploads = tmp_path / "uploads"
    assert any(uploads.rglob("*.png"))
    until = time.monotonic() + 180
    while any(uploads.rglob("*.png")) and time.monotonic() < until:
        time.sleep(1)
    assert not list(uploads.rglob("*.png"))
