#!/usr/bin/env python
"""Fetch the emoji artwork of the mini benchmark from the npm registry and cut it into three sheets.

Writes data/mini/artwork/{noto,twemoji,fluent}.webp (drawings cropped to their outline, longest
side 48 pixels) and index.json (what each cell of the sheets shows). The sheets are committed, so
this script is needed only to change the choice of drawings.

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
from PIL import Image

from zegclip.engine.launch import run
from zegclip.files import PROJECT_ROOT

CELL = 48  # pixels
PACKAGES = {
    "noto": ("emoji-datasource-google@16.0.0", "package/img/google/64/{}.png"),
    "twemoji": ("emoji-datasource-twitter@16.0.0", "package/img/twitter/64/{}.png"),
    "fluent": ("@lobehub/fluent-emoji-3d@1.1.0", "package/assets/{}.webp"),
}

# VOC class: its drawings' code points, each with the further word that captions may call it by.
CLASS_DRAWINGS = {
    "aeroplane": "2708-fe0f airliner, 1f6e9-fe0f small airplane",
    "bicycle": "1f6b2",
    "bird": "1f426, 1f985 eagle, 1f986 duck, 1f989 owl, 1f99c parrot, 1f9a2 swan, 1f54a-fe0f dove, "
    "1f427 penguin, 1f413 rooster, 1f414 chicken, 1f424 chick, 1f425 baby chick, "
    "1f99a peacock, 1f9a4 dodo, 1f9a9 flamingo, 1f983 turkey, 1fabf goose, "
    "1f426-200d-2b1b black bird",
    "boat": "26f5 sailboat, 1f6a4 speedboat, 1f6e5-fe0f motor boat, 26f4-fe0f ferry, 1f6a2 ship, "
    "1f6f6 canoe",
    "bottle": "1f37e champagne bottle, 1f37c baby bottle, 1f9f4 lotion bottle, 1f376 sake bottle",
    "bus": "1f68c, 1f68d oncoming bus, 1f68e trolleybus, 1f690 minibus",
    "car": "1f697 automobile, 1f698 oncoming car, 1f695 taxi, 1f696 oncoming taxi, "
    "1f699 blue car, 1f3ce-fe0f racing car, 1f693 police car, 1f694 oncoming police car",
    "cat": "1f408, 1f431 cat face, 1f408-200d-2b1b black cat",
    "chair": "1fa91 wooden chair, 1f4ba seat",
    "cow": "1f404, 1f42e cow face, 1f402 ox, 1f403 water buffalo",
    "diningtable": "1f37d-fe0f set table, 1f374 set table",
    "dog": "1f415, 1f436 dog face, 1f429 poodle, 1f9ae guide dog, 1f415-200d-1f9ba service dog",
    "horse": "1f40e, 1f434 horse face, 1f3a0 carousel horse",
    "motorbike": "1f3cd-fe0f racing motorcycle, 1f6f5 scooter",
    "person": "1f9cd standing person, 1f9cd-200d-2640-fe0f standing woman, 1f6b6 walking person, "
    "1f6b6-200d-2642-fe0f walking man, 1f468 man, 1f469 woman, 1f466 boy, 1f467 girl, "
    "1f9d1, 1f474 old man, 1f475 old woman, 1f57a dancing man, 1f483 dancing woman, "
    "1f3c3 running person",
    "pottedplant": "1fab4 plant in a pot, 1f38d bamboo in a pot",
    "sheep": "1f411 ewe, 1f40f ram",
    "sofa": "1f6cb-fe0f couch",
    "train": "1f682 locomotive, 1f684 high speed train, 1f685 bullet train, 1f686, 1f687 metro, "
    "1f688 light rail, 1f68a tram, 1f69d monorail, 1f68b tram car, 1f683 railway car",
    "tvmonitor": "1f4fa television, 1f5a5-fe0f computer screen",
}
SKIN_TONES = ("1f3fb", "1f3fd", "1f3ff")
# What a caption may call any drawing of the class, where that is not its name alone. The first is
# the word used at test.
CLASS_WORDS = {
    "aeroplane": "aeroplane, airplane, plane",
    "bicycle": "bicycle, bike",
    "diningtable": "dining table, diningtable, table",
    "motorbike": "motorbike, motorcycle",
    "pottedplant": "potted plant, pottedplant, houseplant",
    "sofa": "sofa, couch",
    "tvmonitor": "tv monitor, tvmonitor, tv, monitor",
}
HELD_OUT_SHARE = 0.2  # of the drawings per class, at least one: in validation scenes only

DISTRACTOR_CATEGORIES = "Animals & Nature, Food & Drink, Activities, Objects, Travel & Places"
EXCLUDED_SUBCATEGORIES = (
    "time, place-map, sky & weather, hotel, lock, book-paper, money, mail, award-medal, "
    "place-geographic, cat-face, animal-bird"
)
# A distractor that shows, or is called by, one of the classes would be a wrong negative.
EXCLUDED_WORDS = frozenset(
    "car bus train tram railway metro station monorail airplane plane aircraft bike bicycle boat "
    "bird chick chicken penguin cat dog horse cow sheep ram ox buffalo man woman person people "
    "chair seat wheelchair couch bed bottle plant potted tv screen monitor desktop computer laptop "
    "fork knife plate table feather nest canoe ship wine saké sake motor scooter lorry racing "
    "wing goat paw minibus police taxi barber busstop pine bamboo tanabata seedling herb "
    "anchor statue jar toilet elevator door window mirror placard".split()
)


def download(package: str, folder: Path) -> tarfile.TarFile:
    """A pinned npm package, opened."""
    print(f"npm pack {package}")
    command = ["npm", "pack", "--silent", package]
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return tarfile.open(folder / done.stdout.split()[-1])


def read_member(archive: tarfile.TarFile, name: str) -> io.BytesIO:
    """A file of the archive; KeyError where it has none of that name."""
    file = archive.extractfile(name)
    if file is None:
        raise KeyError(name)
    return io.BytesIO(file.read())


def read_drawing(archive: tarfile.TarFile, pattern: str, code: str) -> Image.Image | None:
    """The drawing cropped to its outline, longest side :data:`CELL`; None where there is none."""
    for name in dict.fromkeys((code, code.replace("-fe0f", ""), f"{code}-fe0f")):
        try:
            file = read_member(archive, pattern.format(name))
        except KeyError:
            continue
        image = Image.open(file).convert("RGBA")
        box = image.getchannel("A").point(lambda alpha: alpha > 16).getbbox()
        if box is None:
            return None
        image = image.crop(box)
        size = [max(1, round(side * CELL / max(image.size))) for side in image.size]
        # Premultiplied, so that the colour of transparent pixels does not bleed into the outline.
        return image.convert("RGBa").resize(size, Image.Resampling.LANCZOS).convert("RGBA")
    return None


def chosen_drawings(emoji: list[dict]) -> list[dict]:
    """Code, name, class and extra words of everything to be cut."""
    chosen = []
    for name, drawings in CLASS_DRAWINGS.items():
        for drawing in drawings.split(", "):
            code, _, word = drawing.partition(" ")
            codes = [code]
            if name == "person":
                base, *rest = code.split("-")
                codes += ["-".join([base, tone, *rest]) for tone in SKIN_TONES]
            words = [word] if word else []
            chosen += [dict(code=c, name=name, is_class=True, words=words) for c in codes]
    taken = {entry["code"] for entry in chosen}
    for entry in emoji:
        code = entry["unified"].lower()
        name = entry["short_name"].replace("_", " ").replace("-", " ").rstrip("0123456789").strip()
        tokens = set(name.split()) | set(entry["name"].lower().replace("-", " ").split())
        if (
            entry["category"] in DISTRACTOR_CATEGORIES.split(", ")
            and entry["subcategory"] not in EXCLUDED_SUBCATEGORIES.split(", ")
            and code not in taken
            and not tokens & EXCLUDED_WORDS
        ):
            chosen.append(dict(code=code, name=name, is_class=False, words=[]))
    return chosen


def draw_sheet(cells: list[Image.Image]) -> tuple[Image.Image, int]:
    """Drawings in the middle of their cells, and how many columns there are."""
    columns = math.ceil(math.sqrt(len(cells)))
    sheet = Image.new("RGBA", (columns * CELL, math.ceil(len(cells) / columns) * CELL))
    for cell, image in enumerate(cells):
        row, column = divmod(cell, columns)
        left, top = (CELL - image.width) // 2, (CELL - image.height) // 2
        sheet.paste(image, (column * CELL + left, row * CELL + top))
    return sheet, columns


def hold_out(index: list[dict]) -> None:
    """Mark the drawings that only validation scenes show, styles and drawings in turn."""
    for position, name in enumerate(CLASS_DRAWINGS):
        entries = [entry for entry in index if entry["name"] == name]
        number = max(1, round(HELD_OUT_SHARE * len(entries)))
        order = np.random.default_rng(position).permutation(len(entries))
        for chosen in order[:number]:
            entries[chosen]["split"] = "val"


def main() -> None:
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=PROJECT_ROOT / "data/mini/artwork")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    index: list[dict] = []
    with tempfile.TemporaryDirectory() as folder:
        archives = {s: download(package, Path(folder)) for s, (package, _) in PACKAGES.items()}
        chosen = chosen_drawings(json.load(read_member(archives["noto"], "package/emoji.json")))
        for style, (_, pattern) in PACKAGES.items():
            read = [(d, read_drawing(archives[style], pattern, d["code"])) for d in chosen]
            found = [(d, image) for d, image in read if image is not None]
            sheet, columns = draw_sheet([image for _, image in found])
            for cell, (drawing, _) in enumerate(found):
                row, column = divmod(cell, columns)
                index.append(dict(style=style, row=row, column=column, split="train", **drawing))
            sheet.save(args.out / f"{style}.webp", quality=85, method=6, exact=False)
    hold_out(index)
    words = {name: CLASS_WORDS.get(name, name).split(", ") for name in CLASS_DRAWINGS}
    drawings = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in index)
    (args.out / "index.json").write_text(
        f'{{"cell": {CELL},\n"class_words": {json.dumps(words)},\n"drawings": [\n{drawings}\n]}}\n'
    )
    names = {entry["name"] for entry in index}
    print(f"{len(index)} drawings of {len(names)} names -> {args.out}")


if __name__ == "__main__":
    run(main)
