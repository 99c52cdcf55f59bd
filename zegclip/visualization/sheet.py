"""Panels in rows with a title over each column, laid out by matplotlib."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from .overlay import HEAT_COLOURS, OPACITY

SEEN_COLOUR, UNSEEN_COLOUR = "black", "#d60000"
_DPI = 200
_HEAT: dict[str, Any] = {"cmap": HEAT_COLOURS, "vmin": 0, "vmax": 1, "alpha": OPACITY}
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
    font = max(12.0, panel_height / 14)  # pixels
    points, gap = font * 72 / _DPI, font / 2
    panels = [panel for row in rows for panel in row]
    widest = max(panel.image.shape[1] / panel.image.shape[0] for panel in panels)
    column = panel_height * min(widest, _WIDEST)
    has_bar = any(panel.heat is not None for panel in panels)
    width = round(gap + len(titles) * (column + gap) + 3.5 * font * has_bar)
    figure = Figure((width / _DPI, 1), dpi=_DPI)
    FigureCanvasAgg(figure)  # (for measuring)
    # Draw every panel in a place of its size,
    drawn: list[list[Axes]] = []
    for row in rows:
        drawn.append([])
        for index, panel in enumerate(row):
            height_, width_ = panel.image.shape[:2]
            scale = min(panel_height / height_, column / width_)
            left = gap + index * (column + gap)
            axes = _add_axes(figure, left, width_ * scale, height_ * scale)
            _draw(axes, panel, points)
            _write_names(axes, panel.names, 0.92 * points, column)
            drawn[-1].append(axes)
        if has_bar:
            bar = _add_axes(figure, gap + len(row) * (column + gap), font, panel_height)
            _draw_bar(bar, points)
            drawn[-1].append(bar)
    for axes, title in zip(drawn[0], titles):
        title = textwrap.fill(title, round(column / (0.62 * font)))
        axes.set_title(title, loc="left", fontsize=1.1 * points, pad=0.5 * points)
    words = figure.text(gap / width, 0, note, fontsize=0.9 * points, va="top", wrap=True)
    # measure what stands above and below them, and put each where it belongs.
    spaces = [np.max([_space(axes) for axes in row], axis=0) for row in drawn]
    row_height = panel_height + 2 * gap
    noted = words.get_window_extent().height
    height = round(np.sum(spaces) + len(rows) * row_height + noted + 2 * gap)
    boxes = {axes: axes.bbox.frozen() for axes in figure.axes}
    figure.set_size_inches(width / _DPI, height / _DPI)
    top = height - gap
    for row_axes, (above, below) in zip(drawn, spaces):
        top -= above
        for axes in row_axes:
            left, _, wide, high = boxes[axes].bounds
            axes.set_position((left / width, (top - high) / height, wide / width, high / height))
        top -= row_height + below
    words.set_y(top / height)
    return figure


def figure_pixels(figure: Figure) -> np.ndarray:
    """A figure as an image, ``(H, W, 3)`` uint8, RGB."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _add_axes(figure: Figure, left: float, width: float, height: float) -> Axes:
    """Axes of a size in pixels, at the lower border."""
    whole = figure.bbox
    return figure.add_axes((left / whole.width, 0, width / whole.width, height / whole.height))


def _draw(axes: Axes, panel: Panel, points: float) -> None:
    """The picture and its caption."""
    height, width = panel.image.shape[:2]
    place: dict[str, Any] = {"extent": (0, width, height, 0), "aspect": "auto"}
    axes.imshow(panel.image, interpolation="lanczos", **place)
    if panel.overlay is not None:
        axes.imshow(panel.overlay, interpolation="nearest", **place)
    if panel.heat is not None:
        axes.imshow(panel.heat, interpolation="bilinear", **_HEAT, **place)
    if panel.draw is not None:
        panel.draw(axes)
    axes.set(xticks=[], yticks=[], xlim=(0, width), ylim=(height, 0))
    axes.spines[:].set_visible(False)
    caption, red = panel.caption
    colour = UNSEEN_COLOUR if red else SEEN_COLOUR
    axes.set_xlabel(caption, loc="left", color=colour, fontsize=points, labelpad=points / 2)


def _draw_bar(axes: Axes, points: float) -> None:
    """The scale of the heat maps, as they look on white."""
    axes.imshow(np.linspace(1, 0, 256)[:, None], extent=(0, 1, 0, 1), aspect="auto", **_HEAT)
    axes.set(xticks=[], yticks=[0, 0.5, 1], yticklabels=["0", "0.5", "1"])
    axes.spines[:].set_visible(False)
    axes.yaxis.tick_right()
    axes.tick_params(labelsize=0.9 * points, length=points / 4, width=points / 10)


def _write_names(axes: Axes, names: Sequence[Name], points: float, width: float) -> None:
    """A legend under the panel, in as many columns as fit into so many pixels."""
    squares = [
        Patch(facecolor=tuple(value / 255 for value in name.colour), label=name.text)  # type: ignore
        for name in names
    ]
    below = -0.4 * points * _DPI / 72 / axes.bbox.height
    spacing: dict[str, Any] = {"labelspacing": 0.3, "columnspacing": 0.7, "handlelength": 0.8}
    spacing |= {"handleheight": 0.8, "handletextpad": 0.35, "borderpad": 0, "borderaxespad": 0}
    for columns in range(len(names), 0, -1):
        legend = axes.legend(
            handles=squares,
            labelcolor=[UNSEEN_COLOUR if name.unseen else SEEN_COLOUR for name in names],
            loc="upper left",
            bbox_to_anchor=(0, below),
            ncols=columns,
            fontsize=points,
            frameon=False,
            **spacing,
        )
        if legend.get_window_extent().width <= width:
            return


def _space(axes: Axes) -> tuple[float, float]:
    """Pixels above and below a panel that its title and its names take."""
    box = axes.get_tightbbox()
    assert box is not None
    return max(0.0, box.y1 - axes.bbox.y1), max(0.0, axes.bbox.y0 - box.y0)
