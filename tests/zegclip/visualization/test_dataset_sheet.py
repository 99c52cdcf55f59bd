"""A data set's samples as a sheet."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from mmengine.registry import DefaultScope
from PIL import Image

from tests.zegclip.visualization.test_figures import names_under
from zegclip.datasets import ZeroShotDataset
from zegclip.errors import InputError
from zegclip.visualization import dataset_row, dataset_sheet

RED, GREEN, BLUE = (200, 60, 60), (0, 200, 0), (0, 0, 200)


def dataset(folder: Path, size: tuple[int, int] = (40, 60)) -> ZeroShotDataset:
    """One red image: left a cat (green), in the middle a sofa (blue, unseen), right ignored."""
    for name in ("images", "masks"):
        (folder / name).mkdir()
    Image.new("RGB", (60, 40), RED).save(folder / "images" / "a.png")
    mask = np.full(size, 255, np.uint8)
    mask[:, :20], mask[:, 20:40] = 0, 1
    Image.fromarray(mask).save(folder / "masks" / "a.png")
    steps = ("LoadImageFromFile", "LoadCheckedAnnotations", "HideUnseenLabels")
    pipeline = [
        *(dict(type=step) for step in steps),
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


def thirds(pixels: np.ndarray) -> list[tuple[int, ...]]:
    """The colour in the middle of each third."""
    height, width = pixels.shape[:2]
    return [tuple(pixels[height // 2, width * x // 6].tolist()) for x in (1, 3, 5)]


def test_the_file_shows_unseen_classes_and_the_pipeline_hides_them(tmp_path: Path) -> None:
    data = dataset(tmp_path)
    row = dataset_row(data, 0)
    figure = dataset_sheet([row, row], data.metainfo)
    assert len(figure.axes) == 8
    *_, in_file, piped, labels = figure.axes[:4]
    assert thirds(np.asarray(piped.images[0].get_array())) == [RED] * 3  # RGB, not BGR
    # Flipped, and without the sofa, in training.
    found, hidden = (thirds(np.asarray(axes.images[1].get_array())) for axes in (in_file, labels))
    assert [colour[:3] for colour in found[:2]] == [GREEN, BLUE] and found[2][3] == 0
    assert [colour[3] > 0 for colour in hidden] == [False, False, True]
    # What is ignored is hatched: the last third of the file, the first two of the training.
    for axes, limits in ((in_file, [40, 60]), (labels, [0, 40])):
        (hatched,) = axes.collections
        np.testing.assert_allclose(hatched.get_datalim(axes.transData).intervalx, limits, atol=1)
    assert names_under(in_file) == {
        "cat 33.3 %": False,
        "sofa 33.3 %": True,
        "ignored 33.3 %": False,
    }


def test_a_broken_mask_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.png: the mask is 60x41"):
        dataset_row(dataset(tmp_path, size=(41, 60)), 0)
