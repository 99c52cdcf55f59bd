"""What figures show, read from matplotlib's objects; which images are drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.colors import same_color
from matplotlib.figure import Figure

from tests.zegclip.segmentors.test_zero_shot_segmentor import build
from tests.zegclip.visualization import fakes
from tests.zegclip.visualization.fakes import GREY, HEIGHT, PALETTE, WIDTH
from zegclip.errors import InputError
from zegclip.heads import upsample
from zegclip.visualization import (
    FIGURES,
    Method,
    Panel,
    figure_pixels,
    figures,
    image_names,
    images_named,
    images_with,
    make_sheet,
)
from zegclip.visualization.sheet import UNSEEN_COLOUR, Name

predictions, attention = (FIGURES.get(name) for name in ("predictions", "attention"))


def method(folder: Path, labels: list[list[int]], title: str = "Ours", **model: Any) -> Method:
    dataset = fakes.FakeDataset(folder, labels)
    return Method(title, fakes.FakeModel(**model), dataset, list(range(len(labels))))


def rows_of(figure: Figure) -> list[list[Axes]]:
    """The panels of a figure, without colour bars."""
    panels = [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]
    columns = panels[0].get_gridspec().ncols
    return [panels[start : start + columns] for start in range(0, len(panels), columns)]


def colour_at(axes: Axes, x: float) -> tuple[int, ...] | None:
    """Of the overlay at a share of its width; ``None`` where it is transparent."""
    overlay = np.asarray(axes.images[1].get_array())
    pixel = overlay[HEIGHT // 2, int(x * WIDTH)]
    return tuple(pixel[:3].tolist()) if pixel[3] else None


def names_under(axes: Axes) -> dict[str, bool]:
    """Class names, and whether they are written as unseen."""
    texts = axes.get_legend().get_texts()
    return {text.get_text(): same_color(text.get_color(), UNSEEN_COLOUR) for text in texts}


def test_predictions_of_methods_side_by_side(tmp_path: Path) -> None:
    first = method(tmp_path, [[0, 255]], "A", label=2)
    second = method(tmp_path, [[1, 1], [0, 255]], "B", label=1)
    second.indices = [1]  # the same image has another place in its data set
    figure = predictions([first, second])
    (row,) = rows_of(figure)
    assert [axes.get_title("left") for axes in row] == ["Image", "Ground truth", "A", "B"]
    assert (np.asarray(row[0].images[0].get_array()) == GREY).all() and len(row[0].images) == 1
    # The truth, then the two; what the truth ignores is bare everywhere.
    assert [colour_at(axes, 0.2) for axes in row[1:]] == [PALETTE[0], PALETTE[2], PALETTE[1]]
    assert [colour_at(axes, 0.8) for axes in row[1:]] == [None] * 3
    expected = [{"cat": False}, {"sofa": True}, {"bus": False}]
    assert [names_under(axes) for axes in row[1:]] == expected
    assert "Unseen classes in red" in figure.get_supxlabel()


def test_pixels_that_are_none_of_the_classes_are_bare(tmp_path: Path) -> None:
    ours, other = method(tmp_path, [[0, 1]], label=255), method(tmp_path, [[0, 1]], label=3)
    figure = predictions([ours, other])
    ((_, truth, *predicted),) = rows_of(figure)
    assert colour_at(truth, 0.2) == PALETTE[0]
    for axes in predicted:
        assert colour_at(axes, 0.2) is None and axes.get_legend() is None
    assert "predicted to be none of the classes" in figure.get_supxlabel()


def test_names_are_no_formulas(tmp_path: Path) -> None:
    panel = Panel(np.zeros((9, 9, 3), np.uint8), names=[Name("$x^^$", False, (9, 9, 9))])
    figure = make_sheet([[panel._replace(caption=("a_$x^^$.jpg", False))]], ["$x^^$"], "$x^^$")
    figure_pixels(figure)


def test_extra_maps_are_drawn_by_name_from_blue_to_red(tmp_path: Path) -> None:
    figure = predictions([method(tmp_path, [[0]], some_map=0.25)], with_extra_maps=True)
    ((*_, panel),) = rows_of(figure)
    assert panel.get_title("left") == "Some map"
    heat = panel.images[1]
    assert (heat.get_array() == 0.25).all() and heat.get_clim() == (0, 1)
    low, high = heat.cmap(0.0), heat.cmap(1.0)
    assert low[2] > low[0] and high[0] > high[2]
    assert [axes.get_label() for axes in figure.axes].count("<colorbar>") == 1


def test_nothing_overlaps_and_nothing_is_cut_off(tmp_path: Path) -> None:
    ours = method(tmp_path, [[0, 1, 2, 255], [2, 1, 0, 0]], "A very long title of a method" * 3)
    figure = predictions([ours], panel_height=96)
    figure.draw_without_rendering()
    boxes = [axes.get_tightbbox() for axes in figure.axes]
    boxes.append(figure._supxlabel.get_window_extent())
    width, height = figure.bbox.size
    for index, box in enumerate(boxes):
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height
        assert not any(box.overlaps(other) for other in boxes[index + 1 :])
    assert all(80 < axes.bbox.width < 200 for axes in figure.axes)  # 144 by 72 are aimed at


@pytest.mark.parametrize(
    ("classes", "captions"), [((), ["sofa"]), (("cat", "bus"), ["cat", "bus"])]
)
def test_attention_of_each_class(
    classes: tuple[str, ...], captions: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ramp = torch.linspace(0.2, 0.3, WIDTH).expand(3, HEIGHT, WIDTH)
    monkeypatch.setattr(figures, "attention_maps", lambda model, data: ramp)
    methods = [method(tmp_path, [[0, 0, 1, 2]], name, meaning=f"over {name}") for name in "AB"]
    figure = attention(methods, classes)
    rows = rows_of(figure)
    assert [row[0].get_xlabel() for row in rows] == captions
    colours = [row[0].xaxis.label.get_color() == UNSEEN_COLOUR for row in rows]
    assert colours == [caption == "sofa" for caption in captions]
    # Maps are brought to their own range, and the class is outlined: here, the last stripe.
    for row in rows:
        np.testing.assert_allclose(row[1].images[1].get_array()[0], np.linspace(0, 1, WIDTH), 1e-4)
    (outline,) = rows[0][0].collections
    limits = outline.get_datalim(rows[0][0].transData).intervalx
    np.testing.assert_allclose(limits, [0, 10] if classes else [15, 20], atol=0.1)
    assert "A: over A. B: over B." in figure.get_supxlabel()


def test_attention_maps_are_the_heads_at_the_images_size(tiny_clip_config: Path) -> None:
    model = build(tiny_clip_config, data_preprocessor={"type": "mmseg.SegDataPreProcessor"})
    data = fakes.batch((32, 32), (64, 48))
    with torch.no_grad():
        output = model._forward(model.data_preprocessor(data, False)["inputs"])
        expected = upsample(upsample(model.decode_head.attention(output), (32, 32)), (64, 48))
    torch.testing.assert_close(figures.attention_maps(model, data), expected[0])


def test_images_with_most_of_the_wanted_classes_come_first(tmp_path: Path) -> None:
    dataset = fakes.FakeDataset(tmp_path, [[0, 1], [2, 255], [2, 0], [1, 255]])
    assert images_with(dataset, 1) == [2]  # the unseen sofa, beside a seen cat
    assert images_with(dataset, 2) == [1, 2]
    assert images_with(dataset, 1, ["bus", "cat"]) == [0]
    assert images_named(dataset, ["photo_1", "photo_0"]) == [1, 0]
    with pytest.raises(InputError, match=r"'foto_1' among the 4 of the data set.*photo_1"):
        images_named(dataset, ["foto_1"])
    for count in (0, -1):
        with pytest.raises(InputError, match="ask for one at least"):
            images_with(dataset, count)


def test_images_of_one_name_are_told_apart(tmp_path: Path) -> None:
    dataset = fakes.FakeDataset(tmp_path, [[0]] * 4)
    dataset.files = [tmp_path / name for name in ("x/1.jpg", "y/1.jpg", "y/1.png", "y/2.jpg")]
    assert image_names(dataset) == ["x/1.jpg", "y/1.jpg", "y/1.png", "2"]
    assert images_named(dataset, ["y/1.jpg", "2"]) == [1, 3]
    with pytest.raises(InputError, match=r"'1' among.*mean x/1\.jpg, y/1\.jpg, y/1\.png\?"):
        images_named(dataset, ["1"])
