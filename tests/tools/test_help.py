"""Every tool explains itself, with an example, and refuses what it does not know."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOLS = sorted(path.relative_to(ROOT) for path in (ROOT / "tools").glob("**/*.py"))
SCRIPTS = [path for path in TOOLS if "def main(" in (ROOT / path).read_text()]


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS, ids=str)
def test_help_has_an_example(script: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(script), "--help"],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "100"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "example" in done.stdout and f"python {script}" in done.stdout
