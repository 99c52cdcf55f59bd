"""What each figure shows, read from matplotlib's objects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.colors import same_color
from matplotlib.figure import Figure

from tests.zegclip.visualization.fakes import GREY, HEIGHT, PALETTE, WIDTH, FakeDataset, FakeModel
from zegclip.visualization import FIGURES, Method, figures
from zegclip.visualization.sheet import UNSEEN_COLOUR

predictions, attention = (FIGURES.get(name) for name in ("predictions", "attention"))


def method(folder: Path, labels: list[list[int]], title: str = "Ours", **model: Any) -> Method:
    dataset = FakeDataset(folder, labels)
    return Method(title, FakeModel(**model), dataset, list(range(len(labels))))


def rows_of(figure: Figure) -> list[list[Axes]]:
    """The panels of a figure from top to bottom and left to right; a colour bar is one too."""
    rows: dict[int, list[Axes]] = {}
    for axes in figure.axes:
        rows.setdefault(round(axes.bbox.y1), []).append(axes)
    return [sorted(rows[top], key=lambda axes: axes.bbox.x0) for top in sorted(rows, reverse=True)]


def colour_at(axes: Axes, x: float) -> tuple[int, ...] | None:
    """Of the overlay at a share of its width; ``None`` where it is transparent."""
    overlay = np.asarray(axes.images[1].get_array())
    pixel = overlay[HEIGHT // 2, int(x * WIDTH)]
    return tuple(pixel[:3].tolist()) if pixel[3] else None


def names_under(axes: Axes) -> dict[str, bool]:
    """Class names, and whether they are written as unseen."""
    legend = axes.get_legend()
    texts = legend.get_texts() if legend else []
    return {text.get_text(): same_color(text.get_color(), UNSEEN_COLOUR) for text in texts}


class TestPredictions:
    def test_methods_stand_side_by_side(self, tmp_path: Path) -> None:
        first = method(tmp_path, [[0, 255]], "A", label=2)
        second = method(tmp_path, [[0, 255]], "B", label=1)
        figure = predictions([first, second])
        (row,) = rows_of(figure)
        assert [axes.get_title("left") for axes in row] == ["Image", "Ground truth", "A", "B"]
        assert (np.asarray(row[0].images[0].get_array()) == GREY).all() and len(row[0].images) == 1
        # The truth, then the two; what the truth ignores is bare everywhere.
        assert [colour_at(axes, 0.2) for axes in row[1:]] == [PALETTE[0], PALETTE[2], PALETTE[1]]
        assert [colour_at(axes, 0.8) for axes in row[1:]] == [None] * 3
        expected = [{"cat": False}, {"sofa": True}, {"bus": False}]
        assert [names_under(axes) for axes in row[1:]] == expected
        assert "Unseen classes in red" in figure.texts[0].get_text()

    def test_extra_maps_are_drawn_by_name(self, tmp_path: Path) -> None:
        figure = predictions([method(tmp_path, [[0]], some_map=0.25)], with_extra_maps=True)
        ((*_, panel, bar),) = rows_of(figure)
        assert panel.get_title("left") == "Some map"
        heat = panel.images[1]
        assert (heat.get_array() == 0.25).all() and heat.get_clim() == (0, 1)
        assert [text.get_text() for text in bar.get_yticklabels()] == ["0", "0.5", "1"]

    def test_each_method_finds_the_image_at_its_own_index(self, tmp_path: Path) -> None:
        shifted = method(tmp_path, [[1], [0]])
        shifted.indices = [1]
        (row,) = rows_of(predictions([shifted, method(tmp_path, [[0]])]))
        assert colour_at(row[1], 0.5) == PALETTE[0]

    def test_nothing_overlaps_and_nothing_is_cut_off(self, tmp_path: Path) -> None:
        ours = method(tmp_path, [[0, 1, 2, 255], [2, 1, 0, 0]], "A very long title of a method" * 3)
        figure = predictions([ours], panel_height=96)
        axes = [each for row in rows_of(figure) for each in row]
        assert all(each.bbox.height == pytest.approx(96, abs=1) for each in axes)
        assert all(each.bbox.width == pytest.approx(192, abs=1) for each in axes)
        boxes = [box for each in axes if (box := each.get_tightbbox()) is not None]
        boxes.append(figure.texts[0].get_window_extent())
        width, height = figure.bbox.size
        for index, box in enumerate(boxes):
            assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height
            assert not any(box.overlaps(other) for other in boxes[index + 1 :])


class TestAttention:
    @pytest.fixture(autouse=True)
    def ramp(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Attention from 0.2 at the left to 0.3 at the right."""
        maps = torch.linspace(0.2, 0.3, WIDTH).expand(3, HEIGHT, WIDTH)
        monkeypatch.setattr(figures, "attention_maps", lambda model, data: maps)

    @pytest.mark.parametrize(
        ("classes", "captions"),
        [((), ["sofa"]), (("cat", "bus"), ["cat", "bus"]), (("bus", "sofa"), ["bus", "sofa"])],
    )
    def test_a_row_for_each_class(
        self, classes: tuple[str, ...], captions: list[str], tmp_path: Path
    ) -> None:
        rows = rows_of(attention([method(tmp_path, [[0, 0, 1, 2]])], classes))
        assert [row[0].get_xlabel() for row in rows] == captions
        colours = [row[0].xaxis.label.get_color() == UNSEEN_COLOUR for row in rows]
        assert colours == [caption == "sofa" for caption in captions]

    def test_maps_are_brought_to_their_own_range_and_the_class_is_outlined(
        self, tmp_path: Path
    ) -> None:
        ((image, panel, _),) = rows_of(attention([method(tmp_path, [[0, 0, 0, 2]])]))
        np.testing.assert_allclose(panel.images[1].get_array()[0], np.linspace(0, 1, WIDTH), 1e-4)
        (outline,) = image.collections
        # Around the last stripe.
        limits = outline.get_datalim(image.transData).intervalx
        np.testing.assert_allclose(limits, [15, 20], atol=0.1)
        assert (figures.scaled(np.array([0.2, 0.2])) == 0).all()

    def test_note_says_what_the_maps_are(self, tmp_path: Path) -> None:
        meanings = [("A", "over patches"), ("B", "over patches"), ("C", "over classes")]
        methods = [method(tmp_path, [[2]], title, meaning=meaning) for title, meaning in meanings]
        note = attention(methods).texts[0].get_text()
        assert note.startswith("A, B: over patches. C: over classes.")
