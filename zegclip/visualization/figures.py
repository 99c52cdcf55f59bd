"""The figures that every method has, and the registry of all figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from mmengine.registry import Registry

from zegclip.heads import ZeroShotHead

from .attention_maps import attention_maps
from .method import Method, extra_maps, predicted_labels
from .sheet import Panel, make_sheet

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Functions from methods (and options, by keyword) to a matplotlib Figure, by name.
FIGURES = Registry("figure", scope="zegclip", locations=["zegclip.visualization"])
BARE_NOTE = (
    "Pixels without a label in the ground truth count nowhere and are left bare; so are those "
    "predicted to be none of the classes."
)

_Function = TypeVar("_Function", bound="Callable[..., Figure]")


def register_figure(
    name: str, head: type[ZeroShotHead] = ZeroShotHead
) -> Callable[[_Function], _Function]:
    """Enter a function into :data:`FIGURES`; tools/visualize.py lists what is there.

    The tool hands its options ``classes`` and ``point`` to the functions that take them.

    Args:
        name: of the figure.
        head: every method's head must be one of these.

    Example:
        >>> @register_figure("mine", head=MyHead)
        ... def mine(methods, classes=()) -> Figure:
        ...     \"\"\"The help's line about it.\"\"\"
    """

    def register(function: _Function) -> _Function:
        function.head = head  # type: ignore[attr-defined]
        FIGURES.register_module(name=name, module=function)
        return function

    return register


@register_figure("predictions")
def predictions(
    methods: Sequence[Method], panel_height: int = 224, with_extra_maps: bool = False
) -> Figure:
    """Image, ground truth and what each method predicts, unseen names in red.

    Args:
        methods: with as many ``indices`` each; image and ground truth are the first one's.
        panel_height: pixels.
        with_extra_maps: draw what the methods predict beside the labels as well.
    """
    rows = []
    titles = ["Image", "Ground truth"]
    for row in range(len(methods[0].indices)):
        scene = methods[0].scene(row)
        panels = [Panel(scene.image), scene.panel(scene.labels)]
        for method in methods:
            sample = method.predict(row)
            panels.append(scene.panel(predicted_labels(sample, scene)))
            maps = extra_maps(sample) if with_extra_maps else {}
            panels += [Panel(scene.image, heat=heat) for heat in maps.values()]
            if row == 0:
                names = (name.replace("_", " ").capitalize() for name in maps)
                titles += [method.title, *names]
        rows.append(panels)
    return make_sheet(rows, titles, f"Unseen classes in red. {BARE_NOTE}", panel_height)


@register_figure("attention")
def attention(methods: Sequence[Method], classes: Sequence[str] = ()) -> Figure:
    """What a class attends to in the last layer, methods side by side.

    Each map is scaled to its own range; what it is differs between methods and is said in the note
    (``attention_meaning`` of the heads).

    Args:
        methods: see :class:`Method`.
        classes: names; of those in an image's ground truth there is a row each. Default: the
            largest unseen class of each image, or the largest class where none is unseen.
    """
    rows = []
    for row in range(len(methods[0].indices)):
        scene = methods[0].scene(row)
        maps = [attention_maps(method.model, method.data(row)).cpu() for method in methods]
        shown = (scene.unseen() or scene.present())[:1]
        if classes:
            wanted = [scene.vocabulary.classes.index(name) for name in classes]
            shown = [label for label in wanted if (scene.labels == label).any()] or wanted[:1]
        for label in shown:
            name = scene.name(label)
            outline = partial(_outline, mask=scene.labels == label)
            heats = [Panel(scene.image, heat=scaled(each[label].numpy())) for each in maps]
            caption = (name.text, name.unseen)
            rows.append([Panel(scene.image, caption=caption, draw=outline), *heats])
    meanings = [f"{each.title}: {each.model.decode_head.attention_meaning}." for each in methods]
    note = (
        f"{' '.join(meanings)} Each map is scaled from its least (0) to its greatest value (1). "
        "The class is outlined in the image; unseen names in red."
    )
    return make_sheet(rows, ["Image and class", *(method.title for method in methods)], note)


def scaled(values: np.ndarray) -> np.ndarray:
    """A map brought to 0..1 by its smallest and its largest value; a constant map becomes 0."""
    return (values - values.min()) / max(np.ptp(values), 1e-12)


def _outline(axes: Axes, mask: np.ndarray) -> None:
    """A white line with a black border around a mask ``(H, W)``."""
    from matplotlib.patheffects import withStroke

    if mask.any():
        padded = np.pad(mask, 1)  # so that lines close at the image's border
        ys, xs = (np.arange(side) - 0.5 for side in padded.shape)
        lines = axes.contour(xs, ys, padded, [0.5], colors="white")
        lines.set(linewidth=0.8, path_effects=[withStroke(linewidth=1.6, foreground="black")])
