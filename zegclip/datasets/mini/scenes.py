"""The scenes of the mini benchmark: what each shows, and a folder of them, drawn on first use."""

from __future__ import annotations

import hashlib
import os
import tempfile
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from mmengine.logging import print_log
from PIL import Image

from zegclip.errors import InputError
from zegclip.files import PROJECT_ROOT, cache_folder

from ..benchmarks import VOC21Dataset
from .artwork import ARTWORK, Drawing, by_name, load_drawings
from .compositor import Scene, compose_scene

VERSION = 2  # change it whenever the same seed gives other scenes
SIZE = 96  # pixels
SCENES = PROJECT_ROOT / "data" / "mini" / "scenes"
# Scenes of each split; a split's place here is part of its random numbers' seed.
SPLITS = {"train": 2000, "selection": 300, "test": 300}


@cache
def scene_classes() -> dict[str, tuple[Drawing, ...]]:
    """The 20 classes in VOC's order (label 1 is the first), each with its drawings."""
    return by_name(drawing for drawing in load_drawings() if drawing.is_class)


def make_scene(split: str, index: int, seed: int = 0) -> tuple[Scene, np.ndarray]:
    """One scene: ``(seed, split, index)`` says all.

    Args:
        split: ``train``, ``selection`` or ``test``: each has drawings of its own.
        index: number of the scene.
        seed: of the whole benchmark.

    Returns:
        The scene, and its (96, 96) uint8 label: 0 background, 1..20 as in VOC.
    """
    rng = np.random.default_rng([VERSION, seed, list(SPLITS).index(split), index])
    groups = list(scene_classes().values())
    chosen = rng.permutation(len(groups))[: rng.integers(1, 5)]
    drawings = []
    for label in chosen:
        pool = [d for d in groups[label] if d.split == split]
        drawings.append(pool[rng.integers(len(pool))])
    scene = compose_scene(drawings, rng, SIZE)
    labels = np.concatenate([[0], chosen + 1]).astype(np.uint8)[scene.mask]
    return scene, labels


def scenes_root() -> Path:
    """The project's folder of scenes; where it cannot be written, one in the user's cache folder.

    (An installed package may lie where only an administrator writes.)
    """
    try:
        SCENES.mkdir(parents=True, exist_ok=True)
        writable = os.access(SCENES, os.W_OK)
    except OSError:
        writable = False
    return SCENES if writable else cache_folder() / "mini_scenes"


@cache
def _content_key() -> str:
    """Of what all scenes depend on beside split, number and seed."""
    digest = hashlib.sha256(f"{VERSION} {SIZE}".encode())
    for path in [*sorted(ARTWORK.glob("*.webp")), ARTWORK / "index.json"]:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:8]


def make_scenes(
    split: str = "test", number: int | None = None, seed: int = 0, root: str | Path | None = None
) -> Path:
    """A folder of scenes in VOC's layout, made on first use (seconds) and used again after.

    Its name says what it holds, so that no run replaces another's scenes. It appears complete or
    not at all; of several processes that make it at once, the first one's is kept.

    Args:
        split: ``train``, ``selection`` (to choose settings on) or ``test`` (for tables).
        number: of scenes; default: :data:`SPLITS`'.
        seed: the same seed gives the same scenes.
        root: the folder is made in it; default: :func:`scenes_root`.

    Returns:
        The folder with ``JPEGImages`` and ``SegmentationClass``, files named ``{split}_00000``.

    Raises:
        InputError: there is no such split.
    """
    if split not in SPLITS:
        raise InputError(f"the mini benchmark has no split {split!r}, but {', '.join(SPLITS)}")
    number = SPLITS[split] if number is None else number
    folder = Path(root or scenes_root()) / f"{split}_{number}_seed{seed}_{_content_key()}"
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    print_log(f"Drawing {number} scenes into {folder}", logger="current")
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".part") as work:
        unfinished = Path(work) / "scenes"
        _write_scenes(unfinished, split, number, seed)
        try:
            unfinished.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another process was faster, with the same scenes
                raise
    return folder


def _write_scenes(folder: Path, split: str, number: int, seed: int) -> None:
    images, masks = folder / "JPEGImages", folder / "SegmentationClass"
    images.mkdir(parents=True)
    masks.mkdir()
    palette = np.array(VOC21Dataset.METAINFO["palette"], np.uint8).tobytes()
    quality = [cv2.IMWRITE_JPEG_QUALITY, 95]
    for index in range(number):
        name = f"{split}_{index:05d}"
        scene, labels = make_scene(split, index, seed)
        cv2.imwrite(str(images / f"{name}.jpg"), scene.image[..., ::-1], quality)
        mask = Image.fromarray(labels)
        mask.putpalette(palette)
        mask.save(masks / f"{name}.png")
