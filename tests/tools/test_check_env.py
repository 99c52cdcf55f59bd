"""tools/check_env.py: what it finds, what it says, and when it fails."""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[2] / "tools" / "check_env.py"


@pytest.fixture(scope="module")
def check_env() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_env", SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["check_env"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_pins_of_the_python_at_hand(check_env: ModuleType, tmp_path: Path) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text(
        '# a comment==1\ntorch==2.13.0\nnumpy==2.4.6; python_version >= "3.11"\n'
        'numpy==2.2.6; python_version < "3.11"  # the last one\n'
    )
    assert check_env.tested_versions(file, (3, 10)) == {"torch": "2.13.0", "numpy": "2.2.6"}
    assert check_env.tested_versions(file, (3, 11)) == {"torch": "2.13.0", "numpy": "2.4.6"}


def test_every_requirement_is_pinned_exactly(check_env: ModuleType) -> None:
    file = SCRIPT.parents[1] / "requirements.txt"
    lines = [line.partition("#")[0].strip() for line in file.read_text().splitlines()]
    assert all("==" in line.partition(";")[0] for line in lines if line)
    pins = check_env.tested_versions(file, (3, 11))
    assert {"torch", "torchvision", "onedl-mmsegmentation", "open_clip_torch", "numpy"} <= set(pins)


def test_versions_are_compared(check_env: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = {"torch": "2.13.0+cpu", "numpy": "1.0"}

    def version(name: str) -> str:
        if name in installed:
            return installed[name]
        raise check_env.importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(check_env.importlib.metadata, "version", version)
    pins = {"torch": "2.13.0", "numpy": "2.4.6", "rich": "15.0.0", "ruff": "0.17.5"}
    rows = {row.what: row for row in check_env.check_packages(pins)}
    statuses = {name: row.status for name, row in rows.items()}
    assert statuses == dict(torch="ok", numpy="differs", rich="MISSING", ruff="optional")
    assert rows["torch"].mend == ""
    assert all("make setup" in rows[name].mend for name in ("numpy", "rich", "ruff"))


def test_a_broken_stack_fails_and_says_why(
    check_env: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def import_module(name: str) -> ModuleType:
        raise ImportError("libGL.so.1: cannot open shared object file")

    monkeypatch.setattr(check_env.importlib, "import_module", import_module)
    monkeypatch.setattr(sys, "argv", ["check_env.py"])
    assert check_env.main() == 1
    said = capsys.readouterr().out
    assert "libGL.so.1" in said
    assert "apt-get install libgl1" in said


def test_this_environment_is_fit(
    check_env: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["check_env.py", "--json"])
    assert check_env.main() == 0
    rows = {row["what"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["import zegclip, tagclip, ldvc"]["status"] == "ok"
    assert rows["torch"]["found"]
    clip = rows["CLIP ViT-B-16-quickgelu"]
    assert clip["status"] == "ok" or clip["mend"]
    assert any(name.startswith("data set") for name in rows)


def test_missing_data_sets_come_with_their_commands(
    check_env: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    # (zegclip.engine.preflight is the function of that name.)
    module = importlib.import_module("zegclip.engine.preflight")
    monkeypatch.setattr(module, "find_path", lambda path: Path("/nowhere") / path)
    mends = {row.what: row.mend for row in check_env.check_datasets() if row.mend}
    prepare = "python tools/prepare_dataset.py {} --archives data/archives --out data"
    for what, key in (
        ("data set voc12_20", "voc"),
        ("data set context_59", "context"),
        ("data set coco_stuff164k_171", "coco_stuff"),
        ("data set ade20k_150", "ade"),
    ):
        assert prepare.format(key) in mends[what]
        assert "curl -fL -C - --create-dirs -o data/archives/" in mends[what]
