"""Panels in rows with a title over each column, laid out by matplotlib."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from mmengine.visualization.utils import img_from_canvas

from .fonts import find_font
from .overlay import HEAT_COLOURS, OPACITY

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SEEN_COLOUR, UNSEEN_COLOUR = "black", "#d60000"
_DPI = 200
_WIDEST = 1.5  # wider panels are less high
_LETTER = 0.5  # mean width of a letter, as a share of its height
_HEAT: dict[str, Any] = {"cmap": HEAT_COLOURS, "vmin": 0, "vmax": 1, "alpha": OPACITY}
_LEGEND: dict[str, Any] = {
    "handlelength": 0.8,
    "handleheight": 0.8,
    "handletextpad": 0.4,
    "columnspacing": 0.8,
}
_LEGEND |= {"labelspacing": 0.3, "borderpad": 0, "borderaxespad": 0.4}


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
        panel_height: of the pictures, about, in pixels.
    """
    font = max(12.0, panel_height / 14)  # pixels
    points = font * 72 / _DPI
    letters = panel_height / font  # the height of a picture in heights of letters
    widest = max(_aspect(panel) for row in rows for panel in row)
    # Wrap the texts before they meet the next column or the border,
    titles = [
        textwrap.fill(title, max(8, _fitting(letters * _aspect(rows[0][0])))) for title in titles
    ]
    width = (len(titles) * (letters * widest + 1) + 4) * font
    note = textwrap.fill(note, _fitting(width / font))
    # make room for their lines, above and below the pictures,
    lines = 3.0 + note.count("\n") + max(title.count("\n") for title in titles)
    for row in rows:
        lines += 1.5 + max(math.ceil(len(p.names) / _columns(p, letters)) for p in row)
    height = len(rows) * panel_height + 1.4 * font * lines
    # and draw.
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    families = _families(rows, titles, note)
    # (Names of files and classes may hold dollar signs, and are no formulas.)
    with rc_context({"font.family": families, "text.parse_math": False}):
        figure = Figure((width / _DPI, height / _DPI), dpi=_DPI, layout="compressed")
        axes = figure.subplots(len(rows), len(titles), squeeze=False)
        for row, row_axes in zip(rows, axes):
            for panel, ax in zip(row, row_axes):
                _draw(ax, panel, points, _columns(panel, letters))
            if heats := [a.images[-1] for panel, a in zip(row, row_axes) if panel.heat is not None]:
                bar = figure.colorbar(heats[0], ax=row_axes, ticks=[0, 0.5, 1], aspect=15, pad=0.01)
                bar.ax.tick_params(labelsize=0.9 * points, length=points / 4, width=points / 10)
                bar.outline.set_visible(False)
        for ax, title in zip(axes[0], titles):
            ax.set_title(title, loc="left", fontsize=1.1 * points, pad=points / 2)
        figure.supxlabel(note, x=0.5 * font / width, ha="left", fontsize=0.9 * points)
    return figure


def _families(rows: Sequence[Sequence[Panel]], titles: Sequence[str], note: str) -> list[str]:
    """Fonts that have what is written on a sheet: the usual one, and where it lacks some, more."""
    from matplotlib.ft2font import FT2Font

    panels = [panel for row in rows for panel in row]
    texts = [*titles, note, *(panel.caption[0] for panel in panels)]
    texts += [name.text for panel in panels for name in panel.names]
    return ["DejaVu Sans", FT2Font(find_font("".join(texts))).family_name]


def figure_pixels(figure: Figure) -> np.ndarray:
    """A figure as an image, ``(H, W, 3)`` uint8, RGB."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    return img_from_canvas(FigureCanvasAgg(figure))


def hex_colour(colour: Sequence[int]) -> str:
    """RGB, 0..255, as ``"#rrggbb"``."""
    return "#{:02x}{:02x}{:02x}".format(*colour)


def _aspect(panel: Panel) -> float:
    """Width over height of the room that a panel takes."""
    return min(panel.image.shape[1] / panel.image.shape[0], _WIDEST)


def _fitting(width: float) -> int:
    """How many letters fit into a width given in heights of letters."""
    return int(width / (1.1 * _LETTER))


def _columns(panel: Panel, letters: float) -> int:
    """How many names stand side by side under a panel that is this many letters high."""
    longest = max((len(name.text) for name in panel.names), default=0)
    return max(1, int(letters * _aspect(panel) / (0.92 * (_LETTER * longest + 2))))


def _draw(ax: Axes, panel: Panel, points: float, columns: int) -> None:
    from matplotlib.patches import Patch

    height, width = panel.image.shape[:2]
    place: dict[str, Any] = {"extent": (0, width, height, 0)}
    ax.imshow(panel.image, interpolation="lanczos", **place)
    if panel.overlay is not None:
        ax.imshow(panel.overlay, interpolation="nearest", **place)
    if panel.heat is not None:
        ax.imshow(panel.heat, interpolation="bilinear", **_HEAT, **place)
    if panel.draw is not None:
        panel.draw(ax)
    ax.set(xticks=[], yticks=[], xlim=(0, width), ylim=(height, 0), anchor="NW")
    ax.spines[:].set_visible(False)
    caption, red = panel.caption
    colour = UNSEEN_COLOUR if red else SEEN_COLOUR
    ax.set_xlabel(caption, loc="left", color=colour, fontsize=points, labelpad=points / 2)
    if panel.names:
        ax.legend(
            handles=[Patch(color=hex_colour(name.colour), label=name.text) for name in panel.names],
            labelcolor=[UNSEEN_COLOUR if name.unseen else SEEN_COLOUR for name in panel.names],
            loc="upper left",
            bbox_to_anchor=(0, 0),
            ncols=columns,
            fontsize=0.92 * points,
            frameon=False,
            **_LEGEND,
        )
