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
Point = tuple[float, float]
Box = tuple[float, float, float, float]  # left, top, right, bottom; pixels


class AttendedRegions(NamedTuple):
    """The regions of the last LCSA, seen from one of them.

    Attributes:
        boxes: of all regions, by index, in pixels of the image on disk.
        query: index of the region that attends.
        routes: indices of those that it attends to, most alike first.
    """

    boxes: dict[int, Box]
    query: int
    routes: list[int]


@register_figure("consensus", head=ConsensusHead)
def consensus(
    methods: Sequence[Method],
    classes: Sequence[str] = (),
    point: Point | None = None,
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
        InputError: the methods are not with and without LCSA, or the point is outside of the image.
    """
    if [_has_lcsa(method) for method in methods] not in ([True], [True, False]):
        raise InputError(
            "the consensus figure takes one CONFIG CHECKPOINT pair of a model with LCSA and, if "
            "you like, a second one of a model that was trained without "
            "(model.decode_head.decoder.local_consensus=False): here with LCSA is "
            f"{', '.join(m.title for m in methods if _has_lcsa(m)) or 'none'} of {len(methods)}"
        )
    ours, in_windows = methods[0], False
    rows = []
    for row in range(len(ours.indices)):
        scene = ours.scene(row)
        label, inmost = _query(scene, classes)
        shown = attended_regions(ours.model, ours.data(row), point or inmost)
        of_whom = scene.name(label) if label is not None and point is None else None
        caption = f"region of {of_whom.text}" if of_whom else "region at the point"
        count = f"{len(shown.routes)} of {len(shown.boxes)} regions"
        query = Panel(
            scene.image,
            caption=(caption, of_whom is not None and of_whom.unseen),
            draw=partial(_draw_query, shown=shown),
        )
        routes = Panel(
            scene.image,
            overlay=_shade(shown, scene.labels.shape),
            caption=(count, False),
            draw=partial(_draw_routes, shown=shown),
        )
        masks = [scene.labels, *_with_and_without(methods, row, scene)]
        rows.append([query, routes, *(scene.panel(labels) for labels in masks)])
        in_windows |= not _covers(shown, scene.labels.shape)
    titles = ["Query region", "Attends to", "Ground truth", "With LCSA", "Without LCSA"]
    without = "the same model, switched off at test time (it was trained with it)"
    if len(methods) > 1:
        without = "another model, trained without it"
    note = (
        "Regions of the last layer's attention among regions (LCSA): red, the query; yellow, "
        "those whose tokens it attends to."
        f"{' They are those of the sliding window around the query.' if in_windows else ''} "
        f"Without LCSA: {without}. Unseen names in red. {BARE_NOTE}"
    )
    return make_sheet(rows, titles, note, panel_height)


@torch.no_grad()
def attended_regions(
    model: ZeroShotSegmentor, data: Mapping[str, Any], point: Point
) -> AttendedRegions:
    """The region around a pixel, and those that it attends to.

    Args:
        model: with a :class:`ConsensusHead`, in evaluation mode, with a vocabulary.
        data: the image as a batch of one, as ``model.test_step`` takes it.
        point: (x, y) in pixels of the image on disk. Of several windows, the one whose centre is
            nearest is taken.

    Raises:
        InputError: the point is outside of the image, or there is no LCSA.
    """
    data = model.data_preprocessor(data, False)
    inputs, metainfo = data["inputs"], data["data_samples"][0].metainfo
    height, width = metainfo["ori_shape"][:2]
    if not (0 <= point[0] < width and 0 <= point[1] < height):
        raise InputError(f"the point {point} is outside of the image of {width} x {height} pixels")
    # Pixels (x, y) of the image on disk -> of what the model is given.
    rows, columns = image_area(metainfo, (inputs.shape[-2], inputs.shape[-1]))
    start, stop = np.array([columns.start, rows.start]), np.array([columns.stop, rows.stop])
    scale = (stop - start) / (width, height)
    x, y = np.array(point) * scale + start
    windows = [
        (box, group.patch_embeddings[[index]], group.cls_embedding[[index]])
        for group in model.encode_windows(inputs)
        for index, box in enumerate(group.boxes)
    ]
    (top, left, bottom, right), patches, cls = min(
        windows, key=lambda w: np.hypot(w[0][1] + w[0][3] - 2 * x, w[0][0] + w[0][2] - 2 * y)
    )
    all_routes, tokens = model.decode_head.region_routes(patches, cls, model.class_embeddings())
    regions = tokens.cpu().numpy()  # (h, w): of each token
    side = model.image_encoder.patch_size
    query = int(regions[int(y - top) // side, int(x - left) // side])
    # Regions, without what is padding, back on the image on disk.
    low, high = np.maximum(start, (left, top)), np.minimum(stop, (right, bottom))
    boxes: dict[int, Box] = {}
    for region in np.unique(regions):
        ys, xs = np.nonzero(regions == region)
        corners = np.array([(xs.min(), ys.min()), (xs.max() + 1, ys.max() + 1)]) * side
        corners = (corners + (left, top)).clip(low, high)
        if (corners[0] < corners[1]).all():
            boxes[int(region)] = tuple(((corners - start) / scale).ravel().tolist())
    routes = [region for region in all_routes[0, query].tolist() if region in boxes]
    return AttendedRegions(boxes, query, routes)


def _has_lcsa(method: Method) -> bool:
    head = method.model.decode_head
    return isinstance(head, ConsensusHead) and head.decoder.protocol()["local_consensus"]


def _with_and_without(
    methods: Sequence[Method], row: int, scene: Scene
) -> tuple[np.ndarray, np.ndarray]:
    """The label maps that are predicted with LCSA and without."""
    ours, other = methods[0], methods[-1]
    masks = predicted_labels(ours.predict(row), scene)
    if other is not ours:
        return masks, predicted_labels(other.predict(row), scene)
    with ours.model.decode_head.without_local_consensus():
        return masks, predicted_labels(ours.predict(row), scene)


def _query(scene: Scene, classes: Sequence[str]) -> tuple[int | None, Point]:
    """The class of the largest object that is meant, and the object's inmost point (x, y)."""
    present = scene.present()
    wanted = [label for label in present if scene.vocabulary.classes[label] in classes]
    largest, found = 0, None
    for label in wanted or scene.unseen() or present:
        parts, _ = ndimage.label(scene.labels == label, np.ones((3, 3)))
        areas = np.bincount(parts.ravel())
        areas[0] = 0
        if areas.max() > largest:
            largest, found = areas.max(), (label, parts == areas.argmax())
    if found is None:  # nothing has a label
        return None, (scene.labels.shape[1] / 2, scene.labels.shape[0] / 2)
    depth = ndimage.distance_transform_edt(np.pad(found[1], 1))[1:-1, 1:-1]
    y, x = np.unravel_index(depth.argmax(), depth.shape)
    return found[0], (float(x) + 0.5, float(y) + 0.5)


def _covers(shown: AttendedRegions, shape: tuple[int, ...]) -> bool:
    """Whether the regions are those of the whole image."""
    left, top, right, bottom = np.array(list(shown.boxes.values())).T
    return right.max() - left.min() > shape[1] - 1 and bottom.max() - top.min() > shape[0] - 1


def _draw_query(axes: Axes, shown: AttendedRegions) -> None:
    for box in shown.boxes.values():
        _frame(axes, box, GRID, 0.4, alpha=0.6)
    _frame(axes, shown.boxes[shown.query], QUERY, 1.2)


def _draw_routes(axes: Axes, shown: AttendedRegions) -> None:
    for region in shown.routes:
        _frame(axes, shown.boxes[region], ROUTED, 0.8)
    _frame(axes, shown.boxes[shown.query], QUERY, 1.2)


def _shade(shown: AttendedRegions, shape: tuple[int, ...]) -> np.ndarray:
    """What is not attended to becomes dark: ``(H, W, 4)`` uint8, RGBA."""
    shade = np.zeros((*shape, 4), np.uint8)
    shade[..., 3] = 165
    for region in shown.routes:
        left, top, right, bottom = (round(side) for side in shown.boxes[region])
        shade[top:bottom, left:right, 3] = 0
    return shade


def _frame(axes: Axes, box: Box, colour: str, width: float, alpha: float = 1.0) -> None:
    left, top, right, bottom = box
    look = {"fill": False, "edgecolor": colour, "linewidth": width, "alpha": alpha}
    axes.add_patch(Rectangle((left, top), right - left, bottom - top, **look))
