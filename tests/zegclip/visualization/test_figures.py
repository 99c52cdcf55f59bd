"""What each figure shows, read from its pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.zegclip.visualization.fakes import GREY, FakeDataset, FakeModel
from zegclip.visualization import (
    Method,
    attention_figure,
    consensus_figure,
    prediction_figure,
    trust_figure,
)
from zegclip.visualization.attention_figure import attention_note, scaled
from zegclip.visualization.overlay import UNSEEN_COLOUR
from zegclip.visualization.region_overlay import QUERY, ROUTED

PANEL = 100  # ten times the image
WIDTH = 2 * PANEL
GAP = 8


def method(folder: Path, labels: list[list[int]], title: str = "Ours", **model: Any) -> Method:
    dataset = FakeDataset(folder, labels)
    return Method(title, FakeModel(**model), dataset, list(range(len(labels))))


def panel(figure: Image.Image, column: int, top: int | None = None) -> np.ndarray:
    """The picture of a column in the first row, ``(h, w, 3)``."""
    pixels = np.asarray(figure).astype(int)
    if top is None:  # under the titles: the first row of pixels that is the image's grey
        top = int((pixels[:, GAP + 3] == GREY).all(-1).argmax())
    left = GAP + column * (WIDTH + GAP)
    return pixels[top : top + PANEL, left : left + WIDTH]


def has_colour(pixels: np.ndarray, colour: tuple[int, int, int]) -> bool:
    return bool((pixels == colour).all(-1).any())


def mixed(colour: tuple[int, int, int], opacity: float = 0.6) -> np.ndarray:
    return (np.array(GREY) * (1 - opacity) + np.array(colour) * opacity).astype(int)


class TestPredictions:
    def test_methods_stand_side_by_side(self, tmp_path: Path) -> None:
        first = method(tmp_path, [[0, 255]], label=2)
        second = method(tmp_path, [[0, 255]], label=1)
        figure = prediction_figure([first, second], PANEL)
        assert figure.width == GAP + 4 * (WIDTH + GAP)
        assert (panel(figure, 0) == GREY).all()
        expected = [(200, 0, 0), (0, 0, 200), (0, 200, 0)]  # truth, first, second
        for column, colour in enumerate(expected, start=1):
            picture = panel(figure, column)
            assert (abs(picture[50, 30] - mixed(colour)) <= 1).all()
            assert (picture[50, 170] == GREY).all()  # ignored in the truth: bare everywhere

    def test_only_unseen_names_are_red(self, tmp_path: Path) -> None:
        unseen = prediction_figure([method(tmp_path, [[0]], label=2)], PANEL)
        seen = prediction_figure([method(tmp_path, [[0]], label=1)], PANEL)
        assert has_colour(np.asarray(unseen), UNSEEN_COLOUR)
        assert not has_colour(np.asarray(seen), UNSEEN_COLOUR)

    def test_each_method_finds_the_image_at_its_own_index(self, tmp_path: Path) -> None:
        shifted = method(tmp_path, [[1], [0]])
        shifted.indices = [1]
        figure = prediction_figure([method(tmp_path, [[0]]), shifted], PANEL)
        assert figure.width == GAP + 4 * (WIDTH + GAP)


class TestTrust:
    def test_map_is_red_where_it_trusts(self, tmp_path: Path) -> None:
        high = panel(trust_figure([method(tmp_path, [[0, 2]], trust=1.0)], PANEL), 2)[50, 50]
        low = panel(trust_figure([method(tmp_path, [[0, 2]], trust=0.0)], PANEL), 2)[50, 50]
        assert high[0] > high[2] and low[2] > low[0]

    def test_bar_goes_from_red_to_blue(self, tmp_path: Path) -> None:
        figure = trust_figure([method(tmp_path, [[0]], trust=0.5)], PANEL)
        bar = panel(figure, 3)[:, :8]
        assert bar[5, 4, 0] > bar[5, 4, 2] and bar[95, 4, 2] > bar[95, 4, 0]


class TestAttention:
    def test_maps_are_brought_to_their_own_range(self) -> None:
        np.testing.assert_allclose(scaled(np.array([0.2, 0.25, 0.3])), [0, 0.5, 1])
        np.testing.assert_array_equal(scaled(np.array([0.2, 0.2])), [0, 0])

    def test_a_row_is_the_largest_unseen_class(self, tmp_path: Path) -> None:
        methods = [method(tmp_path, [[0, 0, 0, 2]])]
        figure = attention_figure(methods, panel_height=PANEL)
        heat = panel(figure, 1, top=int(figure_top(figure)))
        assert heat[50, 5, 2] > heat[50, 5, 0] and heat[50, -5, 0] > heat[50, -5, 2]
        outlined = panel(figure, 0, top=int(figure_top(figure)))
        white = (outlined == 255).all(-1).any(0)
        assert white[150:].any() and not white[:140].any()  # around the last stripe, the sofa

    def test_a_row_for_each_chosen_class_that_is_there(self, tmp_path: Path) -> None:
        methods = [method(tmp_path, [[0, 1, 1, 2]])]
        two = attention_figure(methods, ("cat", "dog"), PANEL)
        one = attention_figure(methods, ("dog",), PANEL)
        assert 100 < two.height - one.height < 140

    def test_note_says_what_the_maps_are(self, tmp_path: Path) -> None:
        meanings = [("A", "over patches"), ("B", "over patches"), ("C", "over classes")]
        methods = [method(tmp_path, [[2]], title, meaning=meaning) for title, meaning in meanings]
        assert attention_note(methods).startswith("A, B: over patches. C: over classes.")


def figure_top(figure: Image.Image) -> int:
    pixels = np.asarray(figure).astype(int)
    return int((pixels[:, GAP + 3] == GREY).all(-1).argmax())


class TestConsensus:
    def test_query_routes_and_masks(self, tmp_path: Path) -> None:
        ours = method(tmp_path, [[0, 2]], label=2, without=1)
        figure = consensus_figure(ours, panel_height=PANEL)
        top = row_of(figure)
        query, routes = panel(figure, 0, top), panel(figure, 1, top)
        assert has_colour(query[:, 100:], QUERY) and not has_colour(query[:, :100], QUERY)
        assert has_colour(routes[:, :100], ROUTED) and not has_colour(routes[:, 100:], ROUTED)
        assert (routes[50, 50] == GREY).all()  # attended to: as bright as it is
        assert (routes[50, 150] < 40).all()
        assert (abs(panel(figure, 3, top)[50, 50] - mixed((0, 0, 200))) <= 1).all()
        assert (abs(panel(figure, 4, top)[50, 50] - mixed((0, 200, 0))) <= 1).all()
        assert not ours.model.decode_head.is_off

    def test_query_is_in_the_largest_unseen_object(self, tmp_path: Path) -> None:
        ours = method(tmp_path, [[2, 0, 0, 0, 0], [0, 0, 2, 2, 0]])
        consensus_figure(ours, panel_height=PANEL)
        (first, _), (second, _) = ours.model.points
        assert 0 < first < 4 and 8 < second < 16

    def test_query_can_be_chosen(self, tmp_path: Path) -> None:
        ours = method(tmp_path, [[2, 0, 0, 0, 1]])
        consensus_figure(ours, classes=["dog"], panel_height=PANEL)
        consensus_figure(ours, point=(7.0, 3.0), panel_height=PANEL)
        assert ours.model.points[0][0] > 16 and ours.model.points[1] == (7.0, 3.0)

    def test_a_model_trained_without_it_takes_the_last_column(self, tmp_path: Path) -> None:
        ours = method(tmp_path, [[0, 2]], label=2, without=1)
        other = method(tmp_path, [[0, 2]], title="LDVC without", label=0)
        figure = consensus_figure(ours, other, panel_height=PANEL)
        last = panel(figure, 4, row_of(figure))
        assert (abs(last[50, 50] - mixed((200, 0, 0))) <= 1).all()


def row_of(figure: Image.Image) -> int:
    """The first line of the first row's pictures: where column 3 is coloured."""
    pixels = np.asarray(figure).astype(int)
    column = pixels[:, GAP + 2 * (WIDTH + GAP) + 30]
    return int((abs(column - mixed((200, 0, 0))) <= 1).all(-1).argmax())
