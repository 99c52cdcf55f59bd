"""The web page's own checks of what a request holds; see also tests/tools/test_web_demo.py."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.zegclip.apis.models import ROOT, files_of
from zegclip.apis import ZeroShotInferencer, web_page
from zegclip.apis.web_answers import Answers

EXAMPLE = str(ROOT / "docs" / "demo.png")
META = {"meta": {"_type": "gradio.FileData"}}
DOWNLOAD = "gradio.processing_utils.async_ssrf_protected_download"


@pytest.fixture(scope="module")
def uploads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("uploads")


@pytest.fixture(scope="module")
def http(uploads: Path) -> Iterator[httpx.Client]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(uploads))
        inferencer = ZeroShotInferencer(*files_of("tagclip"), device="cpu")
        page = web_page.build_page([inferencer], [(EXAMPLE, ["cat", "bus"])])
        page.launch(prevent_thread_lock=True, quiet=True, server_name="127.0.0.1", show_error=True)
        with httpx.Client(base_url=str(page.local_url), timeout=120) as client:
            yield client
        page.close()


@pytest.fixture(scope="module")
def ask(http: httpx.Client) -> Callable[..., str]:
    """``answer``, or the message of an error, to a picture as a request holds it."""
    config = http.get("/config").json()
    ids = {each["props"].get("elem_id"): each["id"] for each in config["components"]}
    run = [ids["run"], "click"]
    (number,) = (each["id"] for each in config["dependencies"] if run in each["targets"])

    def ask_page(**picture: Any) -> str:
        data = [None, picture, ["cat", "dog"], "as usual", 0, "", False, ""]
        asked = {"data": data, "fn_index": number, "session_hash": "visitor"}
        http.post("/gradio_api/queue/join", json=asked).raise_for_status()
        events = "/gradio_api/queue/data?session_hash=visitor"
        with http.stream("GET", events) as stream:
            for line in filter(None, stream.iter_lines()):
                event = json.loads(line.removeprefix("data: "))
                if event["msg"] == "process_completed":
                    output = event["output"]
                    return "answer" if event["success"] else output["error"]
        raise AssertionError("no answer")

    return ask_page


def png() -> bytes:
    content = io.BytesIO()
    Image.effect_noise((60, 40), 50).save(content, "PNG")
    return content.getvalue()


def test_uploads_and_examples_are_answered(http: httpx.Client, ask: Callable[..., str]) -> None:
    (path,) = http.post("/gradio_api/upload", files={"files": ("a.png", png())}).json()
    assert ask(path=path, **META) == "answer"
    assert ask(path=EXAMPLE, **META) == "answer"
    (picture,) = (
        each for each in http.get("/config").json()["components"]
        if each["props"].get("elem_id") == "picture"
    )  # fmt: skip
    assert picture["type"] == "image"  # for the page's script
    assert not Path(web_page.__file__).with_suffix(".pyi").exists()


def test_each_of_several_maps_of_one_name_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """As of a head of one's own (docs/new_method.md)."""
    inferencer = ZeroShotInferencer(*files_of("tagclip"), device="cpu")
    answers = Answers([inferencer])
    session = answers.ask(None, EXAMPLE, ["cat", "trusty_map"])[0]
    (result,) = session.results
    several = np.stack([result.extra_maps["trusty_map"]] * 2)
    monkeypatch.setattr(result, "extra_maps", {"trusty_map": several})
    gallery = answers.maps(0, session, EXAMPLE, "trusty_map")
    assert [each["caption"] for each in gallery.value] == [
        "trusty_map",
        "trusty_map",
        "trusty_map 2",
    ]


def test_files_fit_the_picture_that_was_uploaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though it is made smaller to be segmented; 150x90 pixels become 75x45."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    monkeypatch.setattr("zegclip.apis.web_answers.LONGEST_SIDE", 75)
    file = tmp_path / "photo.png"
    Image.effect_noise((150, 90), 50).save(file)
    answers = Answers([ZeroShotInferencer(*files_of("tagclip"), device="cpu")])
    session = answers.ask(None, str(file), ["cat", "bus"], "off")[0]
    labels = session.results[0].labels
    assert labels.shape == (45, 75) and labels.any()
    with Image.open(next(tmp_path.rglob("photo_mask.png"))) as mask:
        assert np.array_equal(np.asarray(mask), labels.repeat(2, 0).repeat(2, 1))
    coco = json.loads(next(tmp_path.rglob("photo_coco.json")).read_text())
    assert coco["images"] == [dict(id=1, file_name="photo.png", height=90, width=150)]
    assert sum(each["area"] for each in coco["annotations"]) == 150 * 90


def test_nothing_else_is_a_picture(
    uploads: Path, ask: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    downloaded: list[str] = []
    monkeypatch.setattr(DOWNLOAD, lambda url, cache_dir: downloaded.append(url))
    private = tmp_path / "private.png"
    private.write_bytes(png())
    inside = "data:image/png;base64," + base64.b64encode(png()).decode()
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"  # Pillow starts Ghostscript
    script = "data:image/png;base64," + base64.b64encode(eps).decode()
    before = sorted(uploads.rglob("*"))
    for picture in (
        {"url": inside, **META},
        {"url": script, **META},
        {"url": inside},
        {"path": EXAMPLE, "url": inside},
        {"path": "http://192.0.2.1/huge.png", **META},
        {"path": "http://192.0.2.1/huge.png", "is_stream": True, **META},
        {"path": str(private)},
    ):
        assert ask(**picture) == "a picture must be uploaded here", picture
    assert "was not uploaded by a user" in ask(path=str(private), **META)
    assert not downloaded and sorted(uploads.rglob("*")) == before
