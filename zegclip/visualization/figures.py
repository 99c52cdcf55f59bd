"""The figures that every method has, and the registry of all figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from mmengine.registry import Registry

from zegclip.heads import ZeroShotHead

from .attention_maps import attention_maps
from .method import Method, Scene, extra_maps, predicted_labels
from .sheet import Panel, make_sheet

# Functions from methods (and options, by keyword) to a matplotlib Figure, by name.
FIGURES = Registry("figure", scope="zegclip", locations=["zegclip.visualization"])
BARE_NOTE = "Pixels without a label in the ground truth count nowhere and are left bare."

_Function = TypeVar("_Function", bound=Callable[..., Figure])


def register_figure(
    name: str, head: type[ZeroShotHead] = ZeroShotHead
) -> Callable[[_Function], _Function]:
    """Enter a function into :data:`FIGURES`; tools/visualize.py lists what is there.

    The tool hands its options ``classes``, ``point`` and ``panel_height`` to the functions that
    take them.

    Args:
        name: of the figure.
        head: the first method's head must be one of these.

    Example:
        >>> @register_figure("mine", head=MyHead)
        ... def mine(methods, panel_height=224) -> Figure:
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
                titles += [method.title, *(title_of(name) for name in maps)]
        rows.append(panels)
    return make_sheet(rows, titles, f"Unseen classes in red. {BARE_NOTE}", panel_height)


@register_figure("attention")
def attention(
    methods: Sequence[Method], classes: Sequence[str] = (), panel_height: int = 224
) -> Figure:
    """What a class attends to in the last layer, methods side by side.

    Each map is scaled to its own range; what it is differs between methods and is said in the note
    (``attention_meaning`` of the heads).

    Args:
        methods: see :class:`Method`.
        classes: names; of those in an image's ground truth there is a row each. Default: the
            largest unseen class of each image, or the largest class where none is unseen.
        panel_height: pixels.
    """
    rows = []
    for row in range(len(methods[0].indices)):
        scene = methods[0].scene(row)
        maps = [attention_maps(method.model, method.data(row)) for method in methods]
        for label in _shown_classes(scene, classes):
            name = scene.name(label)
            outline = partial(_outline, mask=scene.labels == label)
            panels = [Panel(scene.image, caption=(name.text, name.unseen), draw=outline)]
            for each in maps:
                panels.append(Panel(scene.image, heat=scaled(each[label].cpu().numpy())))
            rows.append(panels)
    titles = ["Image and class", *(method.title for method in methods)]
    return make_sheet(rows, titles, attention_note(methods), panel_height)


def title_of(name: str) -> str:
    """An extra map's name as a title: ``"some_map"`` -> ``"Some map"``."""
    return name.replace("_", " ").capitalize()


def scaled(values: np.ndarray) -> np.ndarray:
    """A map brought to 0..1 by its smallest and its largest value; a constant map becomes 0."""
    low, high = float(values.min()), float(values.max())
    return (values - low) / (high - low) if high > low else np.zeros_like(values)


def attention_note(methods: Sequence[Method]) -> str:
    """What the maps of each method are: methods of the same meaning are named together."""
    by_meaning: dict[str, list[str]] = {}
    for method in methods:
        by_meaning.setdefault(method.model.decode_head.attention_meaning, []).append(method.title)
    said = " ".join(f"{', '.join(titles)}: {meaning}." for meaning, titles in by_meaning.items())
    return (
        f"{said} Each map is scaled from its least (0) to its greatest value (1). The class is "
        "outlined in the image; unseen names in red."
    )


def _shown_classes(scene: Scene, classes: Sequence[str]) -> list[int]:
    if classes:
        wanted = [scene.vocabulary.classes.index(name) for name in classes]
        return [label for label in wanted if (scene.labels == label).any()] or wanted[:1]
    return (scene.unseen() or scene.present())[:1]


def _outline(axes: Axes, mask: np.ndarray) -> None:
    """A white line with a black border around a mask ``(H, W)``."""
    if mask.any():
        padded = np.pad(mask, 1)  # so that lines close at the image's border
        ys, xs = (np.arange(side) - 0.5 for side in padded.shape)
        lines = axes.contour(xs, ys, padded, [0.5], colors="white")
        lines.set(linewidth=0.8, path_effects=[withStroke(linewidth=1.6, foreground="black")])
