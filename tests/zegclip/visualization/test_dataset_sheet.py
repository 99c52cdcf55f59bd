"""A data set's samples as a sheet."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from mmengine.registry import DefaultScope
from PIL import Image

from zegclip.datasets import ZeroShotDataset
from zegclip.errors import InputError
from zegclip.visualization import dataset_row, dataset_sheet

GREEN, BLUE = (0, 200, 0), (0, 0, 200)


def dataset(folder: Path, size: tuple[int, int] = (40, 60)) -> ZeroShotDataset:
    """One red image: left a cat (green), in the middle a sofa (blue, unseen), right ignored."""
    for name in ("images", "masks"):
        (folder / name).mkdir()
    Image.new("RGB", (60, 40), (200, 60, 60)).save(folder / "images" / "a.png")
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


def thirds(figure: Figure, column: int) -> list[int]:
    """The channel that is largest in each third of a picture."""
    pixels = np.asarray(figure.axes[column].get_images()[0].get_array()).astype(int)
    width = pixels.shape[1] // 3
    parts = (pixels[:, i * width + 8 : (i + 1) * width - 8] for i in range(3))
    return [int(part.mean((0, 1)).argmax()) for part in parts]


def test_the_file_shows_unseen_classes_and_the_pipeline_hides_them(tmp_path: Path) -> None:
    data = dataset(tmp_path)
    row = dataset_row(data, 0)
    assert row.file_image.shape == row.image.shape == (40, 60, 3)
    figure = dataset_sheet([row, row], data.metainfo)
    assert len(figure.axes) == 8
    # Cat green, sofa blue, ignored as it is (red); flipped, and without the sofa, in training.
    assert thirds(figure, 1) == [1, 2, 0]
    assert thirds(figure, 2) == [0, 0, 0]  # red: RGB, not BGR
    assert thirds(figure, 3) == [0, 0, 1]
    hatched = [[c.get_array().size > 0 for c in figure.axes[i].collections] for i in (1, 2, 3)]
    assert [len(found) for found in hatched] == [1, 0, 1]
    texts = figure.axes[0].get_legend().get_texts()
    assert {text.get_text(): text.get_color() for text in texts} == {
        "cat 33.3 %": "black",
        "sofa 33.3 %": "red",
        "ignored 33.3 %": "black",
    }
    figure.savefig(tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as picture:
        colours = {colour for _, colour in picture.convert("RGB").getcolors(1 << 24)}
    assert (255, 0, 0) in colours  # the name's


def test_a_broken_mask_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.png: the mask is 60x41"):
        dataset_row(dataset(tmp_path, size=(41, 60)), 0)
