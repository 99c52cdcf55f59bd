"""Panels in rows with a title over each column, laid out by matplotlib."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Patch

from .overlay import HEAT_COLOURS, OPACITY

SEEN_COLOUR, UNSEEN_COLOUR = "black", "#d60000"
_DPI = 200
_WIDEST = 3  # panels are at most so many times as wide as high


class Name(NamedTuple):
    """A class's name under a panel: red if it is unseen, beside its colour."""

    text: str
    unseen: bool
    colour: tuple[int, int, int]


class Panel(NamedTuple):
    """One picture of a sheet.

    Attributes:
        image: ``(H, W, 3)`` uint8, RGB.
        overlay: ``(H, W, 4)`` uint8, RGBA, drawn over it.
        heat: ``(h, w)``, 0..1, drawn over it; its row gets a colour bar.
        names: of classes, under it.
        caption: a text under it, and whether it is red.
        draw: draws more; coordinates are the image's pixels.
    """

    image: np.ndarray
    overlay: np.ndarray | None = None
    heat: np.ndarray | None = None
    names: Sequence[Name] = ()
    caption: tuple[str, bool] = ("", False)
    draw: Callable[[Axes], object] | None = None


def make_sheet(
    rows: Sequence[Sequence[Panel]], titles: Sequence[str], note: str, panel_height: int = 224
) -> Figure:
    """Lay panels out.

    Args:
        rows: as many panels in each as there are titles.
        titles: of the columns.
        note: a text under the sheet: what a reader must know to understand it.
        panel_height: of the pictures, pixels.
    """
    font = max(12.0, panel_height / 14)  # pixels; names are of this size
    points = font * 72 / _DPI
    gap = font / 2
    panels = [panel for row in rows for panel in row]
    shapes = [panel.image.shape for panel in panels]
    column = panel_height * min(max(width / height for height, width, _ in shapes), _WIDEST)
    has_bar = any(panel.heat is not None for panel in panels)
    width = round(gap + len(titles) * (column + gap) + 3.5 * font * has_bar)
    figure = Figure((width / _DPI, 1), dpi=_DPI)
    FigureCanvasAgg(figure)  # (for measuring)

    # Draw: first every panel in a place of its own size,
    boxes: list[list[tuple[Axes, float, float, float]]] = []  # axes, left, width, height (pixels)
    for number, row in enumerate(rows):
        boxes.append([])
        heat: AxesImage | None = None
        for index, panel in enumerate(row):
            rows_, columns = panel.image.shape[:2]
            scale = min(panel_height / rows_, column / columns)
            size = (columns * scale, rows_ * scale)
            axes = figure.add_axes((0, 0, size[0] / width, size[1] / _DPI))
            heat = _draw(axes, panel, points) or heat
            _write_names(axes, panel.names, points, column)
            if number == 0:
                title = textwrap.fill(titles[index], round(column / (0.62 * font)))
                axes.set_title(title, loc="left", fontsize=1.1 * points, pad=0.5 * points)
            boxes[-1].append((axes, gap + index * (column + gap), *size))
        if heat is not None:
            bar = figure.add_axes((0, 0, font / width, panel_height / _DPI))
            scale_ = figure.colorbar(heat, cax=bar)
            scale_.set_ticks([0, 0.5, 1], labels=["0", "0.5", "1"])
            scale_.outline.set_visible(False)
            bar.tick_params(labelsize=0.9 * points, length=points / 4, width=points / 10)
            boxes[-1].append((bar, gap + len(row) * (column + gap), font, panel_height))
    words = figure.text(gap / width, 0, note, fontsize=0.9 * points, va="top", wrap=True)

    # then measure what stands above and below them, and put each where it belongs.
    spaces = [[_space(axes) for axes, *_ in row] for row in boxes]
    above = [max(space[0] for space in row) for row in spaces]
    below = [max(space[1] for space in row) for row in spaces]
    noted = words.get_window_extent().height
    high_ = panel_height + 2 * gap
    height = round(sum(above) + sum(below) + len(rows) * high_ + noted + 2 * gap)
    top = height - gap
    figure.set_size_inches(width / _DPI, height / _DPI)
    for number, placed in enumerate(boxes):
        top -= above[number]
        for axes, left, wide, high in placed:
            axes.set_position((left / width, (top - high) / height, wide / width, high / height))
        top -= high_ + below[number]
    words.set_y(top / height)
    return figure


def figure_pixels(figure: Figure) -> np.ndarray:
    """A figure as an image, ``(H, W, 3)`` uint8, RGB."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _draw(axes: Axes, panel: Panel, points: float) -> AxesImage | None:
    """The picture and its caption; returns the heat map, for the colour bar."""
    height, width = panel.image.shape[:2]
    place = {"extent": (0, width, height, 0), "aspect": "auto"}
    heat = None
    axes.imshow(panel.image, interpolation="bicubic", **place)
    if panel.overlay is not None:
        axes.imshow(panel.overlay, interpolation="nearest", **place)
    if panel.heat is not None:
        look = {"cmap": HEAT_COLOURS, "vmin": 0, "vmax": 1, "alpha": OPACITY}
        heat = axes.imshow(panel.heat, interpolation="bilinear", **look, **place)
    if panel.draw is not None:
        panel.draw(axes)
    axes.set(xticks=[], yticks=[], xlim=(0, width), ylim=(height, 0))
    axes.spines[:].set_visible(False)
    caption, red = panel.caption
    colour = UNSEEN_COLOUR if red else SEEN_COLOUR
    axes.set_xlabel(caption, loc="left", color=colour, fontsize=points, labelpad=points / 2)
    return heat


def _write_names(axes: Axes, names: Sequence[Name], points: float, width: float) -> None:
    """A legend under the panel, in as many columns as fit into so many pixels."""
    for columns in range(len(names), 0, -1):
        legend = axes.legend(
            handles=[
                Patch(facecolor=[value / 255 for value in name.colour], label=name.text)
                for name in names
            ],
            labelcolor=[UNSEEN_COLOUR if name.unseen else SEEN_COLOUR for name in names],
            loc="upper left",
            bbox_to_anchor=(0, -0.4 * points * _DPI / 72 / axes.bbox.height),
            ncols=columns,
            fontsize=points,
            frameon=False,
            borderpad=0,
            borderaxespad=0,
            labelspacing=0.3,
            columnspacing=0.8,
            handlelength=0.8,
            handleheight=0.8,
            handletextpad=0.35,
        )
        if legend.get_window_extent().width <= width:
            return


def _space(axes: Axes) -> tuple[float, float]:
    """Pixels above and below a panel that its title and its names take."""
    box = axes.get_tightbbox()
    assert box is not None
    return max(0.0, box.y1 - axes.bbox.y1), max(0.0, axes.bbox.y0 - box.y0)
