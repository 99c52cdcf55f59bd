"""Damaged pictures and checkpoints, in every way that reads them: an InputError, or read.

The test has a few; for more: python -m tests.fuzz 20000 [SEED]
"""

from __future__ import annotations

import io
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save

from zegclip.clip.weight_files import read_weights
from zegclip.datasets import LoadImageFromFile, read_image, read_mask
from zegclip.datasets.images import AVIF, image_size
from zegclip.errors import InputError
from zegclip.files import read_checkpoint


def load(file: Path) -> Any:
    return LoadImageFromFile().transform({"img_path": str(file)})


PICTURES: tuple[Callable[[Path], Any], ...] = (read_image, image_size, load, read_mask)
WEIGHTS: tuple[Callable[[Path], Any], ...] = (read_checkpoint, read_weights)


@cache
def sound() -> dict[str, bytes]:
    """Small files that are right, by their names."""
    rng = np.random.default_rng(0)
    photo = Image.fromarray(rng.integers(0, 256, (19, 23, 3), np.uint8))
    deep = Image.fromarray(rng.integers(0, 65536, (9, 9)).astype(np.uint16))
    exif = Image.Exif()
    exif[274] = 6
    pictures: dict[str, tuple[Image.Image, dict[str, Any]]] = {
        "turned.jpg": (photo, {"exif": exif}),
        "progressive.jpg": (photo, {"progressive": True}),
        "cmyk.jpg": (photo.convert("CMYK"), {}),
        "rgb.png": (photo, {}),
        "alpha.png": (photo.convert("RGBA"), {}),
        "palette.png": (photo.convert("P"), {"transparency": 3}),
        "grey.png": (photo.convert("L"), {}),
        "grey.tif": (photo.convert("L"), {}),
        "deep.png": (deep, {}),
        "deep.tif": (deep, {}),
        "lossy.webp": (photo, {}),
        "lossless.webp": (photo, {"lossless": True}),
        "plain.tif": (photo, {}),
        "lzw.tif": (photo, {"compression": "tiff_lzw"}),
        "moving.gif": (photo.convert("P"), {"save_all": True, "append_images": [photo]}),
        "plain.bmp": (photo, {}),
        "plain.ppm": (photo, {}),
    }
    if AVIF:
        pictures["turned.avif"] = (photo, {"exif": exif})
    files = {}
    for name, (image, options) in pictures.items():
        content = io.BytesIO()
        image.save(content, Image.registered_extensions()[Path(name).suffix], **options)
        files[name] = content.getvalue()
    state = {"weight": torch.ones(3, 4), "bias": torch.arange(4)}
    content = io.BytesIO()
    torch.save({"state_dict": state, "meta": {"iter": 3, "classes": ["cat", "dog"]}}, content)
    script = torch.jit.script(torch.nn.Linear(3, 4)).save_to_buffer()
    return files | {"a.pth": content.getvalue(), "a.safetensors": save(state), "a.pt": script}


def damage(content: bytes, rng: np.random.Generator) -> bytes:
    """Change, remove or add a few bytes, or cut the end off; mostly near the start."""
    changed = bytearray(content)
    for _ in range(int(rng.integers(1, 9))):
        near = min(len(changed), 64 if rng.random() < 0.5 else len(changed))
        place, some = int(rng.integers(near)) if near else 0, int(rng.integers(1, 20))
        way = rng.integers(5)
        if way == 0:
            changed[place : place + 1] = rng.bytes(1)
        elif way == 1 and changed:
            changed[place] ^= 1 << int(rng.integers(8))
        elif way == 2:
            del changed[place : place + some]
        elif way == 3:
            changed[place:place] = rng.bytes(some)
        else:
            del changed[max(1, len(changed) - some * 9) :]
    return bytes(changed)


def fuzz(count: int, seed: int, folder: Path) -> Iterator[tuple[str, str]]:
    """Damage ``count`` files and read each; yields the file's kind and what came of it."""
    names = list(sound())
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        name = names[number % len(names)]
        file = folder / f"damaged_{name}"
        file.write_bytes(damage(sound()[name], rng))
        kind = WEIGHTS if name.startswith("a.") else PICTURES
        for read in kind:
            try:
                read(file)
                yield name, "read"
            except InputError as error:
                yield name, "refused" if file.name in str(error) else f"nameless: {error}"
            except Exception as error:
                yield name, f"number {number}, {read.__name__}: {error!r}"


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        seed = int(sys.argv[2]) if len(sys.argv) > 2 else 0
        found = Counter(what for _, what in fuzz(int(sys.argv[1]), seed, Path(place)))
    print(f"{sys.argv[1]} files in {time.monotonic() - started:.0f} s: {dict(found)}")
