#!/usr/bin/env python
"""Fetch the drawings of the mini benchmark from the npm registry and cut them into sheets.

Writes data/mini/artwork/{style}.webp (drawings cropped to their outline, longest side 48 pixels)
and index.json (what each cell of the sheets shows). The sheets are committed, so this script is
needed only to change the choice of drawings (artwork_choice.py). It needs npm and
`pip install resvg-py`, which draws SVG.

example: python tools/mini_benchmark/fetch_artwork.py --out data/mini/artwork
"""

from __future__ import annotations

import io
import json
import math
import subprocess
import tarfile
import tempfile
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path

import numpy as np
from artwork_choice import (
    CLASS_DRAWINGS,
    CLASS_WORDS,
    EMOJI_SETS,
    EXCLUDED,
    ICON_SETS,
    NAMED_EMOJI,
    SKIN_TONES,
    chosen_drawings,
    letters,
)
from PIL import Image

from zegclip.engine.launch import run
from zegclip.files import PROJECT_ROOT

CELL = 48  # pixels
MALE = "-200d-2642-fe0f"  # of a code point
# Of the motifs of a class, and at least so many: shown by scenes of this split and nothing else.
HELD_OUT = {"test": (1 / 4, 2), "selection": (1 / 8, 1)}


def download(package: str, folder: Path) -> tarfile.TarFile:
    """A pinned npm package, opened."""
    print(f"npm pack {package}")
    command = ["npm", "pack", "--silent", package]
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return tarfile.open(folder / done.stdout.split()[-1])


def read_member(archive: tarfile.TarFile, name: str) -> bytes:
    """A file of the archive; KeyError where it has none of that name."""
    file = archive.extractfile(name)
    if file is None:
        raise KeyError(name)
    return file.read()


def draw_svg(text: str) -> bytes:
    """An SVG as PNG."""
    import resvg_py  # only this needs it

    return bytes(resvg_py.svg_to_bytes(svg_string=text, width=2 * CELL))


def icon_svg(icons: dict, name: str) -> str:
    """An icon of a set in Iconify's format."""
    icon: dict = {"left": 0, "top": 0, "width": 16, "height": 16}
    icon |= {k: v for k, v in icons.items() if k != "icons"} | icons["icons"][name]
    box = " ".join(str(icon[key]) for key in ("left", "top", "width", "height"))
    names = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    return f'<svg {names} viewBox="{box}">{icon["body"]}</svg>'


def emoji_file(archive: tarfile.TarFile, pattern: str, code: str) -> bytes | None:
    """The picture of a code point; None where the set has none."""
    for name in dict.fromkeys((code, code.replace("-fe0f", ""), f"{code}-fe0f")):
        try:
            file = read_member(archive, pattern.format(name))
        except KeyError:
            continue
        return draw_svg(file.decode()) if pattern.endswith("svg") else file
    return None


def crop(file: bytes) -> Image.Image | None:
    """The drawing cropped to its outline, longest side :data:`CELL`; None where it is empty."""
    image = Image.open(io.BytesIO(file)).convert("RGBA")
    box = image.getchannel("A").point(lambda alpha: 255 * (alpha > 16)).getbbox()
    if box is None:
        return None
    image = image.crop(box)
    size = [max(1, round(side * CELL / max(image.size))) for side in image.size]
    # Premultiplied, so that the colour of transparent pixels does not bleed into the outline.
    return image.convert("RGBa").resize(size, Image.Resampling.LANCZOS).convert("RGBA")


def read_drawings(folder: Path) -> tuple[list[dict], dict[str, dict[str, Image.Image]]]:
    """The entries of all drawings, and the pictures by style and code."""
    archives = {style: download(package, folder) for style, (package, _) in EMOJI_SETS.items()}
    emoji = json.loads(read_member(archives["noto"], "package/emoji.json"))
    chosen = chosen_drawings(emoji)
    codes = [entry["code"] for entry in chosen]
    files: dict[str, dict[str, bytes | None]] = {
        style: {code: emoji_file(archives[style], pattern, code) for code in codes}
        for style, (_, pattern) in EMOJI_SETS.items()
    }
    named = {
        letters(name): each["unified"].lower()
        for each in reversed(emoji)  # of two with one name the first
        for name in (*each["short_names"], each["name"])
    }
    for prefix, (style, package) in ICON_SETS.items():
        icons = json.loads(read_member(download(package, folder), "package/icons.json"))
        names = {f"{prefix}:{name}": name for name in icons["icons"]}
        if prefix in NAMED_EMOJI:
            names |= {named.get(letters(name), ""): name for name in reversed(icons["icons"])}
        found = {code: draw_svg(icon_svg(icons, names[code])) for code in codes if code in names}
        files.setdefault(style, {}).update(found)
    cropped = {
        style: {c: crop(file) for c, file in each.items() if file and (style, c) not in EXCLUDED}
        for style, each in files.items()
    }
    return chosen, {s: {c: image for c, image in d.items() if image} for s, d in cropped.items()}


def draw_sheet(cells: list[Image.Image]) -> Image.Image:
    """Drawings in the middle of their cells, row by row; as wide as it is high."""
    columns = math.ceil(math.sqrt(len(cells)))
    sheet = Image.new("RGBA", (columns * CELL, math.ceil(len(cells) / columns) * CELL))
    for cell, image in enumerate(cells):
        row, column = divmod(cell, columns)
        left, top = (CELL - image.width) // 2, (CELL - image.height) // 2
        sheet.paste(image, (column * CELL + left, row * CELL + top))
    return sheet


def motif(style: str, code: str) -> tuple[str, str]:
    """A key that is the same for all skin tones of an emoji, and for Fluent's 3D and flat one."""
    code = code.replace(MALE, "")  # a man walks as a person does
    parts = [part for part in code.split("-") if part not in SKIN_TONES]
    return style.removesuffix("_flat"), "-".join(parts)


def hold_out(index: list[dict]) -> None:
    """Mark the drawings that training scenes do not show."""
    for position, name in enumerate(CLASS_DRAWINGS):
        entries = [entry for entry in index if entry["name"] == name]
        motifs = sorted({motif(style, e["code"]) for e in entries for style in e["cells"]})
        shuffled = [motifs[i] for i in np.random.default_rng(position).permutation(len(motifs))]
        for split, (share, least) in HELD_OUT.items():
            number = max(least, round(share * len(motifs)))
            marked, shuffled = shuffled[:number], shuffled[number:]
            for entry in entries:
                styles = [s for s in entry["cells"] if motif(s, entry["code"]) in marked]
                entry[split] = styles


def main() -> None:
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=PROJECT_ROOT / "data/mini/artwork")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        index, pictures = read_drawings(Path(folder))
    for style, drawn in pictures.items():
        sheet = draw_sheet(list(drawn.values()))
        sheet.save(args.out / f"{style}.webp", quality=80, alpha_quality=80, method=6)
    numbers = {style: {code: i for i, code in enumerate(d)} for style, d in pictures.items()}
    for entry in index:
        code = entry["code"]
        entry["cells"] = {style: cells[code] for style, cells in numbers.items() if code in cells}
    index = [entry for entry in index if entry["cells"]]
    hold_out(index)
    words = {name: CLASS_WORDS.get(name, name).split(", ") for name in CLASS_DRAWINGS}
    lines = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in index)
    (args.out / "index.json").write_text(
        f'{{"cell": {CELL},\n"class_words": {json.dumps(words)},\n"drawings": [\n{lines}\n]}}\n'
    )
    total, names = sum(map(len, pictures.values())), {entry["name"] for entry in index}
    print(f"{total} drawings of {len(names)} names -> {args.out}")


if __name__ == "__main__":
    run(main)
