"""Every tool explains itself, with an example."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from zegclip.compat import available_cores

ROOT = Path(__file__).parents[2]
TOOLS = sorted(path.relative_to(ROOT) for path in (ROOT / "tools").glob("**/*.py"))
SCRIPTS = [path for path in TOOLS if "def main(" in (ROOT / path).read_text()]


def run_help(script: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(script), "--help"],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "100"},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="module")
def helps() -> dict[Path, Future[subprocess.CompletedProcess[str]]]:
    """All of them, some at a time: most of it is importing the stack."""
    pool = ThreadPoolExecutor(available_cores())
    return {script: pool.submit(run_help, script) for script in SCRIPTS}


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS, ids=str)
def test_help_has_an_example(
    script: Path, helps: dict[Path, Future[subprocess.CompletedProcess[str]]]
) -> None:
    done = helps[script].result()
    assert done.returncode == 0, done.stderr[-2000:]
    assert "example" in done.stdout and f"python {script}" in done.stdout
