"""Where relative paths of configs and tools are looked for."""

from __future__ import annotations

from pathlib import Path

PROJECT_ROOT = Path(__file__).resolve().parents[1]


def find_path(path: str | Path) -> Path:
    """Resolve a path of a config, so that every tool runs from any folder.

    Args:
        path: absolute, or relative to the working directory or to the project's folder.

    Returns:
        The path itself if it is absolute or exists from here; else its place in the project's
        folder, whether something is there or not.
    """
    path = Path(path).expanduser()
    if path.is_absolute() or path.exists():
        return path
    return PROJECT_ROOT / path
