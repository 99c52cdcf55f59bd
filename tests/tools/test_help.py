"""Every tool explains itself, with an example."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from zegclip.compat import available_cores

ROOT = Path(__file__).parents[2]
TOOLS = sorted(path.relative_to(ROOT) for path in (ROOT / "tools").glob("**/*.py"))
SCRIPTS = [path for path in TOOLS if "def main(" in (ROOT / path).read_text()]


def run_help(script: Path) -> tuple[int, str]:
    """In a process of its own: the order of imports matters to the stack."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "100"}
    command = [sys.executable, str(script), "--help"]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
def test_help_has_an_example() -> None:
    with ThreadPoolExecutor(available_cores()) as pool:  # most of it is importing the stack
        for script, (code, said) in zip(SCRIPTS, pool.map(run_help, SCRIPTS)):
            assert code == 0, said[-2000:]
            assert "example" in said and f"python {script}" in said, said
