"""Damaged files are read or refused by name, never a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz import fuzz, sound
from zegclip.datasets.images import AVIF

PAGE = Path(__file__).parents[1] / "docs" / "reliability.md"
EACH = 50


@pytest.mark.filterwarnings("ignore")
def test_damaged_files(tmp_path: Path) -> None:
    found = list(fuzz(EACH * len(sound()), 0, tmp_path))
    assert {what for _, what in found} == {"read", "refused"}
    assert len({name for name, what in found if what == "refused"}) == len(sound())


@pytest.mark.skipif(not AVIF, reason="Pillow without AVIF: a kind less")
def test_the_page_says_how_many() -> None:
    pictures = sum(not name.startswith("a.") for name in sound())
    said = PAGE.read_text()
    assert f"({pictures} kinds of file)" in said
    assert f"{EACH * len(sound()):,} in the test" in said
