"""Names of any language are letters in every picture, not boxes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager

from zegclip.apis import SegmentationResult
from zegclip.visualization import Panel, figure_pixels, find_font, fonts, make_sheet
from zegclip.visualization.sheet import Name

GREY = np.full((40, 40, 3), 100, np.uint8)


def in_a_legend(name: str) -> np.ndarray:
    return np.asarray(SegmentationResult(GREY, GREY[..., 0] * 0, None, (name,)).draw())


def under_a_panel(name: str) -> np.ndarray:
    panel = Panel(GREY, names=[Name(name, False, (200, 0, 0))], caption=(name, False))
    return figure_pixels(make_sheet([[panel]], ["title"], "note"))


@pytest.fixture
def chinese_font(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's only font beside matplotlib's has two Chinese letters, of different shape."""
    glyphs = {}
    for name, (right, top) in {".notdef": (300, 300), "cat": (200, 900), "dog": (900, 200)}.items():
        pen = TTGlyphPen(None)
        pen.moveTo((0, 0))
        for point in ((0, top), (right, top), (right, 0)):
            pen.lineTo(point)
        pen.closePath()
        glyphs[name] = pen.glyph()
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(list(glyphs))
    letters = dict.fromkeys(range(32, 127), "cat")
    builder.setupCharacterMap(letters | {ord("猫"): "cat", ord("犬"): "dog"})
    builder.setupGlyf(glyphs)
    builder.setupHorizontalMetrics(dict.fromkeys(glyphs, (1000, 0)))
    builder.setupHorizontalHeader(ascent=900, descent=-100)
    builder.setupNameTable({"familyName": "Two Animals", "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(tmp_path / "animals.ttf")
    manager = font_manager.fontManager
    plain = [font for font in manager.ttflist if "mpl-data" in font.fname]
    monkeypatch.setattr(manager, "ttflist", plain)
    manager.addfont(tmp_path / "animals.ttf")
    fonts._font_with.cache_clear()


@pytest.mark.parametrize("draw", [in_a_legend, under_a_panel])
@pytest.mark.parametrize("pair", ["äö", "ßÞ", "жш", "λπ"])
def test_letters_differ(draw: Callable[[str], np.ndarray], pair: str) -> None:
    one, other = map(draw, pair)
    assert one.shape != other.shape or not np.array_equal(one, other)


@pytest.mark.parametrize("draw", [in_a_legend, under_a_panel])
@pytest.mark.usefixtures("chinese_font")
def test_a_font_of_the_machine_where_the_usual_one_lacks_letters(
    draw: Callable[[str], np.ndarray],
) -> None:
    assert find_font("cat") == find_font("Straße, кошка") != find_font("cat 猫")
    assert not np.array_equal(draw("猫"), draw("犬"))
    assert find_font("猫𒀀", "猫") == find_font("猫")  # no font has both: what is drawn counts


@pytest.mark.usefixtures("chinese_font")
def test_fonts_that_cannot_be_read_are_passed_over(tmp_path: Path) -> None:
    """matplotlib's list of them is a cache: one may have been removed or replaced since."""
    found = find_font("猫")
    fonts._font_with.cache_clear()
    bad = tmp_path / "bad.ttf"
    bad.write_bytes(b"no font")
    for file in (tmp_path / "removed.ttf", bad):
        entry = font_manager.FontEntry(str(file), "Gone", "normal", "normal", 400)
        font_manager.fontManager.ttflist.insert(0, entry)
    assert find_font("猫") == found


@pytest.mark.usefixtures("chinese_font")
def test_one_search_serves_all_images_with_the_same_classes() -> None:
    for share in range(4):
        labels = np.zeros((40, 40), np.int64)
        labels[:share] = 1
        SegmentationResult(GREY, labels, None, ("猫", "犬 (dog)")).draw()
    assert fonts._font_with.cache_info().misses == 1


@pytest.mark.usefixtures("chinese_font")
def test_what_no_font_has_is_said_once() -> None:
    with pytest.warns(UserWarning, match="no font here has 鳥, which will be boxes") as said:
        for _ in range(3):
            find_font("鳥 bird")
    assert len(said) == 1
