"""tools/check_env.py: what it finds, what it says, and when it fails."""

from __future__ import annotations

import ast
import re
import sys

import check_env
import pytest
from packaging.requirements import Requirement

from tests.conftest import OpenaiClip


@pytest.fixture(autouse=True)
def no_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["check_env.py"])


def test_this_environment_is_fit(capsys: pytest.CaptureFixture[str]) -> None:
    check_env.main()
    said = capsys.readouterr().out
    assert "packages as tested" in said and "can be imported" in said
    assert "models/zegclip_mini.py" in said and said.count("datasets/voc12_20.py") == 1


def test_what_will_be_downloaded_is_said(openai_clip: OpenaiClip) -> None:
    rows = list(check_env.weights_and_data())
    assert not openai_clip.downloads
    ((status, text),) = [row for row in rows if "models/zegclip_vit-b16.py" in row[1]]
    assert status == "optional" and "'openai': not here yet, downloaded at first use" in text


def test_versions_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = check_env.importlib.metadata.version

    def version(name: str) -> str:
        if name in ("rich", "ruff"):
            raise check_env.importlib.metadata.PackageNotFoundError(name)
        return "1.0" if name == "pillow" else installed(name) + "+cpu"

    monkeypatch.setattr(check_env.importlib.metadata, "version", version)
    *others, (status, _) = check_env.packages()
    assert status == "ok"
    found = {text.replace("==", " ").split()[0]: status for status, text in others}
    assert found == {"pillow": "differs", "rich": "MISSING", "ruff": "optional"}


def test_what_only_extras_need_is_optional() -> None:
    """``pip install .`` installs none of it."""
    written = (check_env.ROOT / "setup.py").read_text(encoding="utf-8")
    extras = ast.literal_eval(re.search(r"extras_require=(\{.*?\})", written, re.DOTALL)[1])
    names = {Requirement(text).name for texts in extras.values() for text in texts}
    assert names == check_env.EXTRAS


def test_a_broken_stack_fails_and_says_why(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def import_module(name: str) -> None:
        raise ImportError("libGL.so.1: cannot open shared object file")

    monkeypatch.setattr(check_env.importlib, "import_module", import_module)
    with pytest.raises(SystemExit, match="1"):
        check_env.main()
    said = capsys.readouterr().out
    assert "libGL.so.1" in said and "apt-get install libgl1" in said


def test_a_driver_that_torch_cannot_use_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    for program, said in (
        (None, "no GPU: for full-size"),
        ("/bin/nvidia-smi", "finds no GPU, and"),
    ):
        monkeypatch.setattr(check_env.shutil, "which", lambda _, found=program: found)
        check_env.main()
        assert said in capsys.readouterr().out
