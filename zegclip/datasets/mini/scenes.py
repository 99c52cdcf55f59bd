"""Write the scenes of the mini benchmark as a VOC devkit folder, once."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from mmengine.logging import print_log
from PIL import Image

from .artwork import ARTWORK, PROJECT_ROOT, Drawing, by_name, load_drawings
from .compositor import Scene, compose_scene

VERSION = 1  # change it whenever the same seed gives other scenes
SIZE = 96  # pixels
SCENES = PROJECT_ROOT / "data" / "mini" / "scenes"
STAMP = "stamp.json"


def voc_palette() -> list[int]:
    """The 256 colours of VOC's masks, flat: the bits of the index, spread over RGB."""
    colours = []
    for index in range(256):
        rgb, rest = [0, 0, 0], index
        for bit in range(7, -1, -1):
            for channel in range(3):
                rgb[channel] |= (rest >> channel & 1) << bit
            rest >>= 3
        colours += rgb
    return colours


@lru_cache(maxsize=1)
def scene_classes() -> dict[str, tuple[Drawing, ...]]:
    """The 20 classes in VOC's order (label 1 is the first), each with its drawings."""
    return by_name(drawing for drawing in load_drawings() if drawing.is_class)


def make_scene(split: str, index: int, seed: int = 0) -> tuple[Scene, np.ndarray]:
    """One scene: ``(seed, split, index)`` says all.

    Args:
        split: ``train`` (never a held-out drawing) or ``val`` (all drawings).
        index: number of the scene.
        seed: of the whole benchmark.

    Returns:
        The scene, and its (96, 96) uint8 label: 0 background, 1..20 as in VOC.
    """
    rng = np.random.default_rng([VERSION, seed, ("train", "val").index(split), index])
    groups = list(scene_classes().values())
    chosen = rng.permutation(len(groups))[: rng.integers(1, 5)]
    drawings = []
    for label in chosen:
        pool = [d for d in groups[label] if split == "val" or not d.held_out]
        drawings.append(pool[rng.integers(len(pool))])
    scene = compose_scene(drawings, rng, SIZE)
    labels = np.concatenate([[0], chosen + 1]).astype(np.uint8)[scene.mask]
    return scene, labels


def expected_stamp(num_train: int, num_val: int, seed: int) -> dict:
    """What the folder must have been made of to be used again."""
    digest = hashlib.sha256()
    for path in [*sorted(ARTWORK.glob("*.webp")), ARTWORK / "index.json"]:
        digest.update(path.read_bytes())
    return {
        "made_by": "zegclip.datasets.mini",
        "version": VERSION,
        "seed": seed,
        "num_train": num_train,
        "num_val": num_val,
        "artwork": digest.hexdigest(),
    }


def read_stamp(root: Path) -> dict | None:
    """The stamp of an existing folder; None where there is none."""
    try:
        return json.loads((root / STAMP).read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Let one process at a time in; the folder itself is locked, so no lock file stays."""
    path.mkdir(parents=True, exist_ok=True)
    folder = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def write_scenes(root: Path, num_train: int, num_val: int, seed: int) -> None:
    """Write pictures, masks and lists below ``root``."""
    lists = root / "ImageSets" / "Segmentation"
    masks = [root / "SegmentationClass", root / "SegmentationClassAug"]
    for folder in (lists, root / "JPEGImages", *masks):
        folder.mkdir(parents=True)
    palette = voc_palette()
    for split, number in (("train", num_train), ("val", num_val)):
        names = [f"{split}_{index:05d}" for index in range(number)]
        for index, name in enumerate(names):
            scene, labels = make_scene(split, index, seed)
            cv2.imwrite(
                str(root / "JPEGImages" / f"{name}.jpg"),
                scene.image[..., ::-1],
                [cv2.IMWRITE_JPEG_QUALITY, 95],
            )
            mask = Image.fromarray(labels)
            mask.putpalette(palette)
            for folder in masks:
                mask.save(folder / f"{name}.png")
        (lists / f"{split}.txt").write_text("".join(f"{name}\n" for name in names))


def make_scenes(
    root: str | Path = SCENES, num_train: int = 2000, num_val: int = 300, seed: int = 0
) -> Path:
    """The folder of scenes, made on first use (seconds) and used again after.

    Several processes may call this at once: one makes the scenes, the others wait.

    Args:
        root: folder, replaced as a whole if it holds scenes of other arguments or of older code.
        num_train: training scenes, of the drawings that are not held out.
        num_val: validation scenes, of all drawings.
        seed: the same seed gives the same scenes.

    Raises:
        FileExistsError: ``root`` holds something that this function did not make.
    """
    root = Path(root)
    stamp = expected_stamp(num_train, num_val, seed)
    if read_stamp(root) == stamp:
        return root
    with locked(root.parent):
        found = read_stamp(root)
        if found == stamp:  # made while we waited
            return root
        ours = found is not None and found.get("made_by") == stamp["made_by"]
        if root.exists() and not ours and any(root.iterdir()):
            raise FileExistsError(
                f"{root} holds files that are no scenes of the mini benchmark: "
                "give another data_root, or move them away"
            )
        print_log(f"Drawing {num_train + num_val} scenes into {root}", logger="current")
        work = Path(tempfile.mkdtemp(prefix=f"{root.name}.", dir=root.parent))
        try:
            write_scenes(work / "new", num_train, num_val, seed)
            (work / "new" / STAMP).write_text(json.dumps(stamp, indent=1))
            if root.exists():
                root.rename(work / "old")
            (work / "new").rename(root)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return root
