"""Every tool explains itself, with an example."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[2] / "tools"
SCRIPTS = [path for path in sorted(TOOLS.glob("**/*.py")) if "def main(" in path.read_text()]
NAMES = [str(path.relative_to(TOOLS)) for path in SCRIPTS]


@pytest.mark.parametrize("script", NAMES)
def test_help_has_an_example(
    script: str, run_tool: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        run_tool(script, "--help")
    said = capsys.readouterr().out
    assert not end.value.code and "example" in said and f"python tools/{script}" in said


@pytest.mark.slow
@pytest.mark.parametrize("script", ["get_flops.py", "mini_benchmark/pretrain_tiny_clip.py"])
def test_imports_do_not_hang_on_what_a_test_imported_before(script: str) -> None:
    """mmseg and open_clip may not import before zegclip."""
    subprocess.run([sys.executable, TOOLS / script, "--help"], check=True, capture_output=True)
