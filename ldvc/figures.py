"""LDVC's figure: where a region's attention goes, and masks with and without it (Fig. 5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from scipy import ndimage

from zegclip.errors import InputError
from zegclip.segmentors import ZeroShotSegmentor, image_area
from zegclip.visualization import (
    BARE_NOTE,
    Method,
    Panel,
    Scene,
    make_sheet,
    predicted_labels,
    register_figure,
)

from .consensus_head import ConsensusHead

QUERY, ROUTED, GRID = "#e60000", "#ffd200", "white"


class AttendedRegions(NamedTuple):
    """The regions of the last LCSA, seen from one of them.

    Attributes:
        regions: ``(H, W)``, the region of each pixel of the image on disk; -1 outside of the
            window that they are of.
        query: the region that attends.
        routes: those that it attends to, most alike first.
    """

    regions: np.ndarray
    query: int
    routes: list[int]


@register_figure("consensus", head=ConsensusHead)
def consensus(
    methods: Sequence[Method],
    classes: Sequence[str] = (),
    point: tuple[float, float] | None = None,
    panel_height: int = 224,
) -> Figure:
    """Which regions a region attends to, and masks with and without that (LDVC, Fig. 5).

    Args:
        methods: a model with LCSA; a second one was trained without it
            (``decoder=dict(local_consensus=False)``), default: the first one with it switched off.
        classes: see ``point``.
        point: (x, y) in pixels of the image, whose region is the query. Default: the inmost point
            of the largest object of ``classes``, or of an unseen class, or of any.
        panel_height: pixels.

    Raises:
        InputError: the methods are not with and without LCSA, or the point is outside the image.
    """
    lcsa = [method.model.decode_head.protocol(True)["decoder"] for method in methods]
    if [decoder["local_consensus"] for decoder in lcsa] not in ([True], [True, False]):
        raise InputError(
            "the consensus figure takes one CONFIG CHECKPOINT pair of a model with LCSA and, at "
            "most, a second one of a model that was trained without LCSA "
            "(model.decode_head.decoder.local_consensus=False)"
        )
    ours, rows, in_window = methods[0], [], False
    for row in range(len(ours.indices)):
        scene = ours.scene(row)
        label, inmost = _query(scene, classes)
        name = scene.name(label)
        whose = (f"region of {name.text}", name.unseen) if point is None else ("", False)
        shown = attended_regions(ours.model, ours.data(row), point or inmost)
        count = f"{len(shown.routes)} of {len(np.unique(shown.regions[shown.regions >= 0]))}"
        in_window |= bool((shown.regions < 0).any())
        # What is not attended to becomes dark.
        shade = np.zeros((*shown.regions.shape, 4), np.uint8)
        shade[..., 3] = 165 * ~np.isin(shown.regions, shown.routes)
        draw_query, draw_routes = (partial(each, shown=shown) for each in (_grid, _routes))
        with_lcsa = predicted_labels(ours.predict(row), scene)
        if len(methods) > 1:
            without = predicted_labels(methods[1].predict(row), scene)
        else:
            with ours.model.decode_head.without_local_consensus():
                without = predicted_labels(ours.predict(row), scene)
        rows.append(
            [
                Panel(scene.image, caption=whose, draw=draw_query),
                Panel(scene.image, shade, caption=(f"{count} regions", False), draw=draw_routes),
                *(scene.panel(labels) for labels in (scene.labels, with_lcsa, without)),
            ]
        )
    how = "the same model, switched off at test time (it was trained with it)"
    note = (
        "Regions of the last layer's attention among regions (LCSA): red, the query; yellow, "
        "those whose tokens it attends to. "
        f"{'They are those of the sliding window around the query. ' if in_window else ''}Without "
        f"LCSA: {'another model, trained without it' if len(methods) > 1 else how}. Unseen names "
        f"in red. {BARE_NOTE}"
    )
    titles = ["Query region", "Attends to", "Ground truth", "With LCSA", "Without LCSA"]
    return make_sheet(rows, titles, note, panel_height)


@torch.no_grad()
def attended_regions(
    model: ZeroShotSegmentor, data: Mapping[str, Any], point: tuple[float, float]
) -> AttendedRegions:
    """The region around a pixel, and those that it attends to.

    Args:
        model: with a :class:`ConsensusHead`, in evaluation mode, with a vocabulary.
        data: the image as a batch of one, as ``model.test_step`` takes it.
        point: (x, y) in pixels of the image on disk. Of several windows, the one whose centre is
            nearest is taken.

    Raises:
        InputError: the point is outside the image, or there is no LCSA.
    """
    data = model.data_preprocessor(data, False)
    inputs, metainfo = data["inputs"], data["data_samples"][0].metainfo
    height, width = metainfo["ori_shape"][:2]
    if not (0 <= point[0] < width and 0 <= point[1] < height):
        raise InputError(f"the point {point} is outside the image of {width} x {height} pixels")
    # Of the image on disk, which pixel of the input lies under each of its rows and columns?
    area = image_area(metainfo, (inputs.shape[-2], inputs.shape[-1]))
    y_of, x_of = (
        part.start + ((np.arange(side) + 0.5) * (part.stop - part.start) / side).astype(int)
        for part, side in zip(area, (height, width))
    )
    y, x = y_of[int(point[1])], x_of[int(point[0])]
    windows = [
        (box, group.patch_embeddings[[index]], group.cls_embedding[[index]])
        for group in model.encode_windows(inputs)
        for index, box in enumerate(group.boxes)
    ]
    (top, left, bottom, right), patches, cls = min(
        windows, key=lambda each: np.hypot(*np.add(each[0][:2], each[0][2:]) - (2 * y, 2 * x))
    )
    routes, tokens = model.decode_head.region_routes(patches, cls, model.class_embeddings())
    # The region of every token, hence of every pixel of the input, hence of the image on disk.
    side = model.image_encoder.patch_size
    pixels = np.kron(tokens.cpu().numpy(), np.ones((side, side), int))
    whole = np.full(inputs.shape[-2:], -1)
    whole[top:bottom, left:right] = pixels[: bottom - top, : right - left]
    regions, query = whole[y_of][:, x_of], int(whole[y, x])
    there = set(np.unique(regions).tolist())  # (some hold padding only)
    return AttendedRegions(regions, query, [r for r in routes[0, query].tolist() if r in there])


def _query(scene: Scene, classes: Sequence[str]) -> tuple[int, tuple[float, float]]:
    """The class of the largest object that is meant, and the object's inmost point (x, y)."""
    present = scene.present()
    wanted = [label for label in present if scene.vocabulary.classes[label] in classes]
    objects = []
    for label in wanted or scene.unseen() or present:
        parts, count = ndimage.label(scene.labels == label, np.ones((3, 3)))
        objects += [(label, parts == number) for number in range(1, count + 1)]
    if not objects:  # nothing has a label
        objects = [(0, np.ones_like(scene.labels))]
    label, largest = max(objects, key=lambda each: each[1].sum())
    depth = ndimage.distance_transform_edt(np.pad(largest, 1))[1:-1, 1:-1]
    y, x = np.unravel_index(depth.argmax(), depth.shape)
    return label, (float(x), float(y))


def _grid(axes: Axes, shown: AttendedRegions) -> None:
    for region in np.unique(shown.regions[shown.regions >= 0]):
        _frame(axes, shown.regions == region, GRID, 0.3)
    _frame(axes, shown.regions == shown.query, QUERY, 1.2)


def _routes(axes: Axes, shown: AttendedRegions) -> None:
    for region in shown.routes:
        _frame(axes, shown.regions == region, ROUTED, 0.8)
    _frame(axes, shown.regions == shown.query, QUERY, 1.2)


def _frame(axes: Axes, mask: np.ndarray, colour: str, width: float) -> None:
    ys, xs = np.nonzero(mask)
    corner, size = (xs.min(), ys.min()), (np.ptp(xs) + 1, np.ptp(ys) + 1)
    axes.add_patch(Rectangle(corner, *size, fill=False, edgecolor=colour, linewidth=width))
