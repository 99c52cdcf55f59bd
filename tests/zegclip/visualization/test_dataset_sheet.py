"""A data set's samples as pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from mmengine.registry import DefaultScope
from PIL import Image

from zegclip.datasets import ZeroShotDataset
from zegclip.errors import InputError
from zegclip.visualization import TITLES, dataset_row, hatch, make_sheet
from zegclip.visualization.overlay import UNSEEN_COLOUR

GREEN, BLUE = (0, 200, 0), (0, 0, 200)


def dataset(folder: Path, size: tuple[int, int] = (40, 60)) -> ZeroShotDataset:
    """One red image: left a cat (green), in the middle a sofa (blue, unseen), right ignored."""
    for name in ("images", "masks"):
        (folder / name).mkdir()
    Image.new("RGB", (60, 40), (200, 60, 60)).save(folder / "images" / "a.png")
    mask = np.full(size, 255, np.uint8)
    mask[:, :20], mask[:, 20:40] = 0, 1
    Image.fromarray(mask).save(folder / "masks" / "a.png")
    pipeline = [
        dict(type="LoadImageFromFile"),
        dict(type="LoadCheckedAnnotations"),
        dict(type="HideUnseenLabels"),
        dict(type="RandomFlip", prob=1.0),
        dict(type="PackZeroShotInputs"),
    ]
    with DefaultScope.overwrite_default_scope("mmseg"):
        return ZeroShotDataset(
            data_root=str(folder),
            data_prefix={"img_path": "images", "seg_map_path": "masks"},
            img_suffix=".png",
            metainfo={"classes": ["cat", "sofa"], "palette": [GREEN, BLUE]},
            unseen=["sofa"],
            pipeline=pipeline,
        )


def dominant(picture: Image.Image, part: int) -> int:
    """The channel that is largest in a third (0..2) of a picture; -1: grey."""
    pixels = np.asarray(picture).astype(int)
    third = pixels.shape[1] // 3
    # Without the name in its white box in the middle.
    mean = pixels[:30, part * third + 8 : (part + 1) * third - 8].mean((0, 1))
    return -1 if np.ptp(mean) < 60 else int(mean.argmax())


def red_letters(picture: Image.Image) -> bool:
    return bool((np.asarray(picture) == UNSEEN_COLOUR).all(-1).any())  # (the image is not so red)


def test_the_file_shows_unseen_classes_and_the_pipeline_hides_them(tmp_path: Path) -> None:
    names, in_file, piped, labels = dataset_row(dataset(tmp_path), 0, panel_height=240)
    assert in_file.size == piped.size == labels.size == (360, 240)
    # Cat green, sofa blue, ignored grey; flipped, and without the sofa, after the pipeline.
    assert [dominant(in_file, part) for part in range(3)] == [1, 2, -1]
    assert [dominant(piped, part) for part in range(3)] == [0, 0, 0]  # red: RGB, not BGR
    assert [dominant(labels, part) for part in range(3)] == [-1, -1, 1]
    assert red_letters(names) and red_letters(in_file) and not red_letters(labels)
    assert make_sheet([[names, in_file, piped, labels]], TITLES).width > 3 * 360


def test_a_broken_mask_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.png: the label map is 60x41"):
        dataset_row(dataset(tmp_path, size=(41, 60)), 0)


def test_hatching_stays_inside_the_mask() -> None:
    image = np.full((16, 16, 3), 200, np.uint8)
    mask = np.zeros((16, 16), bool)
    mask[4:12] = True
    hatched = hatch(image, mask, period=8)
    assert (hatched[~mask] == 200).all() and (hatched[mask] != 200).all()
    assert ((hatched[mask] == 90).all(-1)).mean() == 0.25
    assert (image == 200).all()
