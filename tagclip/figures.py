"""TagCLIP's figure: the trusty map over its image (Fig. 4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from zegclip.visualization import Method, Panel, extra_maps, make_sheet, register_figure

from .trusty_head import TrustyHead

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NOTE = (
    "Trusty map: probability that a pixel is of a seen class (0 blue, 1 red). Unseen names in red."
)


@register_figure("trust", head=TrustyHead)
def trust(methods: Sequence[Method]) -> Figure:
    """Image, ground truth and the trusty map M_A of each method (TagCLIP, Fig. 4).

    Args:
        methods: whose heads have a trusty map.
    """
    rows = []
    for row in range(len(methods[0].indices)):
        scene = methods[0].scene(row)
        maps = [extra_maps(method.predict(row))["trusty_map"] for method in methods]
        heated = [Panel(scene.image, heat=heat) for heat in maps]
        rows.append([Panel(scene.image), scene.panel(scene.labels), *heated])
    names = [f"Trusty map, {method.title}" for method in methods]
    titles = ["Image", "Ground truth", *(names if len(names) > 1 else ["Trusty map"])]
    return make_sheet(rows, titles, NOTE)
