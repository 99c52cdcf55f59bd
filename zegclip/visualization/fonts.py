"""A font that has the letters of the class names, whatever their language."""

from __future__ import annotations

import warnings
from contextlib import suppress
from functools import lru_cache


def find_font(*texts: str) -> str:
    """The file of a font with every character of a text, and with ASCII's.

    matplotlib's DejaVu Sans (Latin, Greek, Cyrillic and more) where it has them, else one of those
    on the machine. Where none has, it is DejaVu Sans, and a warning names what will be boxes.

    Args:
        texts: the first one for which there is a font counts, else the last.
    """
    found = missing = ""
    for text in texts:
        # (Without ASCII: names are found once, whatever numbers stand beside them.)
        others = (letter for letter in text if letter.isprintable() and not letter.isascii())
        found, missing = _font_with(frozenset(map(ord, others)))
        if not missing:
            return found
    _warn_of_boxes(missing)
    return found


@lru_cache(maxsize=100)  # (once)
def _warn_of_boxes(missing: str) -> None:
    warnings.warn(
        f"no font here has {missing}, which will be boxes in pictures: install one that has (Noto "
        "Sans CJK, say)",
        stacklevel=3,
    )


@lru_cache(maxsize=100)
def _font_with(letters: frozenset[int]) -> tuple[str, str]:
    """A font's file, and which letters it lacks."""
    from matplotlib.font_manager import findfont, fontManager
    from matplotlib.ft2font import FT2Font

    wanted = letters.union(range(32, 127))
    own = findfont("DejaVu Sans")
    others = [
        font.fname
        for font in fontManager.ttflist
        # ("Last Resort" has a box for every letter there is.)
        if (font.style, font.weight) == ("normal", 400) and "Last Resort" not in font.name
    ]
    for file in (own, *others):
        with suppress(OSError, RuntimeError):  # (the list is a cache: a file may be gone, or bad)
            if wanted <= FT2Font(file).get_charmap().keys():
                return file, ""
    return own, "".join(map(chr, sorted(wanted - FT2Font(own).get_charmap().keys())))
