"""The drawings of the mini benchmark: a sheet for each style and an index of their cells."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache

import numpy as np
from PIL import Image

from zegclip.files import PROJECT_ROOT

ARTWORK = PROJECT_ROOT / "data" / "mini" / "artwork"


@dataclass(frozen=True)
class Drawing:
    """One emoji or icon in one style.

    Attributes:
        name: class name of VOC, or the emoji's own name for a distractor.
        words: what a caption may call it.
        style: the sheet that it is on, ``noto`` for example.
        code: unicode code points, or an icon's set and name.
        is_class: whether ``name`` is one of VOC's 20 classes.
        split: whose scenes show it. (Pretraining shows all.)
        pixels: (h, w, 4) uint8 RGBA, cropped to the outline.
    """

    name: str
    words: tuple[str, ...]
    style: str
    code: str
    is_class: bool
    split: str
    pixels: np.ndarray = field(repr=False, compare=False)


def class_words() -> dict[str, tuple[str, ...]]:
    """The words for every class; the first is the one to use at test."""
    index = json.loads((ARTWORK / "index.json").read_text())
    return {name: tuple(words) for name, words in index["class_words"].items()}


@cache
def load_drawings() -> tuple[Drawing, ...]:
    """All drawings, in the order of the index."""
    index = json.loads((ARTWORK / "index.json").read_text())
    cell = index["cell"]
    sheets: dict[str, np.ndarray] = {}
    drawings = []
    for entry in index["drawings"]:
        words = (*index["class_words"].get(entry["name"], [entry["name"]]), *entry["words"])
        for style, number in entry["cells"].items():
            if style not in sheets:
                with Image.open(ARTWORK / f"{style}.webp") as sheet:
                    sheets[style] = np.asarray(sheet.convert("RGBA"))
            row, column = divmod(number, sheets[style].shape[1] // cell)
            pixels = sheets[style][row * cell :, column * cell :][:cell, :cell]
            rows, columns = (np.flatnonzero((pixels[..., 3] > 16).any(axis)) for axis in (1, 0))
            pixels = pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].copy()
            held_out = (split for split in ("selection", "test") if style in entry.get(split, ()))
            facts = (style, entry["code"], entry["is_class"], next(held_out, "train"))
            drawings.append(Drawing(entry["name"], words, *facts, pixels))
    return tuple(drawings)


def by_name(drawings: Iterable[Drawing]) -> dict[str, tuple[Drawing, ...]]:
    """Group drawings by name, names in order of appearance."""
    groups: dict[str, list[Drawing]] = {}
    for drawing in drawings:
        groups.setdefault(drawing.name, []).append(drawing)
    return {name: tuple(group) for name, group in groups.items()}
