"""Damaged files are read or refused by name, never a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz import fuzz, sound


@pytest.mark.filterwarnings("ignore")
def test_damaged_files(tmp_path: Path) -> None:
    found = list(fuzz(50 * len(sound()), 0, tmp_path))
    assert {what for _, what in found} == {"read", "refused"}
    assert len({name for name, what in found if what == "refused"}) == len(sound())
