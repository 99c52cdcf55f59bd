"""The example of docs/new_method.md, as it stands there."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def example_files() -> dict[str, str]:
    """The page's files by path: each is named in a line of its own before its block of code."""
    page = (ROOT / "docs" / "new_method.md").read_text()
    blocks = re.findall(
        r"^`([\w./]+\.py)`[^\n]*\n\n```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE
    )
    return dict(blocks)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The files in a folder of their own; the config beside its base."""
    for name, text in example_files().items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace('"./zegclip', f'"{ROOT}/configs/zegclip'))
    return tmp_path


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]),
    }
    return subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_the_page_has_the_whole_example() -> None:
    assert list(example_files()) == [
        "my_method/__init__.py",
        "my_method/cosine_head.py",
        "configs/mymethod_mini_inductive.py",
        "tests/my_method/test_cosine_head.py",
    ]


@pytest.mark.slow
def test_the_head_passes_the_tests_of_every_head(folder: Path) -> None:
    (folder / "conftest.py").write_text("from tests.conftest import *\n")
    # (Not as the package `tests`, which the project's own is.)
    test = folder / "test_cosine_head.py"
    test.write_text((folder / "tests" / "my_method" / "test_cosine_head.py").read_text())
    done = run(folder, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(test))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert re.search(r"\d{2} passed", done.stdout), done.stdout[-500:]


@pytest.mark.slow
def test_it_trains(folder: Path) -> None:
    options = ["train_cfg.max_iters=2", "train_dataloader.num_workers=0"]
    options += ["train_dataloader.persistent_workers=False"]
    options += ["train_dataloader.dataset.number=20", "val_dataloader.dataset.number=2"]
    scenes = folder / "scenes"
    options += [f"{mode}_dataloader.dataset.data_root={scenes}" for mode in ("train", "val")]
    config = folder / "configs" / "mymethod_mini_inductive.py"
    script = str(ROOT / "tools" / "train.py")
    done = run(folder, script, str(config), "--work-dir", "w", "--cfg-options", *options)
    assert done.returncode == 0, done.stderr[-3000:]
    report = json.loads((folder / "w" / "report.json").read_text())
    assert report["protocol"]["config"] == "mymethod_mini_inductive"
