"""Paths of configs, from any folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from zegclip.files import PROJECT_ROOT, find_path


def test_find_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_path("configs") == PROJECT_ROOT / "configs"
    assert find_path("nowhere/at/all") == PROJECT_ROOT / "nowhere/at/all"
    assert find_path(tmp_path / "x") == tmp_path / "x"
    (tmp_path / "configs").mkdir()
    assert find_path("configs") == Path("configs")
