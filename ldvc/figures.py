"""LDVC's figure: where a region's attention goes, and masks with and without it (Fig. 5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor

from zegclip.errors import InputError
from zegclip.evaluation.analyses import calls_of
from zegclip.segmentors import ZeroShotSegmentor, to_original
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

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

QUERY, ROUTED, OTHERS = "#e60000", "#ffd200", "white"  # frames of regions


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
) -> Figure:
    """Which regions a region attends to, and masks with and without that (LDVC, Fig. 5).

    Args:
        methods: a model with LCSA; a second one was trained without it
            (``decoder=dict(local_consensus=False)``), default: the first one with it switched off.
        classes: see ``point``.
        point: (x, y) in pixels of the image, whose region is the query. Default: the inmost point
            of the largest of ``classes``, or of the unseen classes, or of all.

    Raises:
        InputError: the methods are not with and without LCSA, or the point is outside the image.
    """
    lcsa = [method.model.decode_head.decoder.has_local_consensus for method in methods]
    if lcsa not in ([True], [True, False]):
        raise InputError(
            "the consensus figure takes one CONFIG CHECKPOINT pair of a model with LCSA and, at "
            "most, a second one of a model that was trained without LCSA "
            "(model.decode_head.decoder.local_consensus=False)"
        )
    rows = [_row(methods, row, classes, point) for row in range(len(methods[0].indices))]
    without = "the same model, switched off at test time (it was trained with it)"
    if len(methods) > 1:
        without = "another model, trained without it"
    note = (
        "Regions of the last layer's attention among regions (LCSA) in the window around the "
        "query: red, the query; yellow, those whose tokens it attends to. Without LCSA: "
        f"{without}. Unseen names in red. {BARE_NOTE}"
    )
    titles = ["Query region", "Attends to", "Ground truth", "With LCSA", "Without LCSA"]
    return make_sheet(rows, titles, note)


def _row(
    methods: Sequence[Method],
    row: int,
    classes: Sequence[str],
    point: tuple[float, float] | None,
) -> list[Panel]:
    """The panels of one image; arguments as in :func:`consensus`."""
    ours = methods[0]
    scene = ours.scene(row)
    label, inmost = _query(scene, classes)
    name = scene.name(label)
    whose = (f"region of {name.text}", name.unseen) if point is None else ("", False)
    shown = attended_regions(ours.model, ours.data(row), point or inmost)
    every = [int(region) for region in np.unique(shown.regions) if region >= 0]
    # What is not attended to becomes dark.
    shade = np.zeros((*shown.regions.shape, 4), np.uint8)
    shade[..., 3] = 165 * ~np.isin(shown.regions, shown.routes)
    grid = partial(_frames, shown=shown, others=every, colour=OTHERS)
    routes = partial(_frames, shown=shown, others=shown.routes, colour=ROUTED)
    count = f"{len(shown.routes)} of {len(every)} regions"
    # Masks with LCSA and without.
    masks = [scene.labels, predicted_labels(ours.predict(row), scene)]
    if len(methods) > 1:
        masks.append(predicted_labels(methods[1].predict(row), scene))
    else:
        with ours.model.decode_head.decoder.without_local_consensus():
            masks.append(predicted_labels(ours.predict(row), scene))
    query = Panel(scene.image, caption=whose, draw=grid)
    attended = Panel(scene.image, shade, caption=(count, False), draw=routes)
    return [query, attended, *map(scene.panel, masks)]


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
    # The window around the point, and its tokens' regions and their routes.
    y, x = point[1] / height * inputs.shape[-2], point[0] / width * inputs.shape[-1]
    windows = [
        (box, group.patch_embeddings[[index]], group.cls_embedding[[index]])
        for group in model.encode_windows(inputs)
        for index, box in enumerate(group.boxes)
    ]
    (top, left, bottom, right), patches, cls = min(
        windows, key=lambda each: np.hypot(*np.add(each[0][:2], each[0][2:]) - (2 * y, 2 * x))
    )
    routes, tokens = region_routes(model.decode_head, patches, cls, model.class_embeddings())
    # The region of every pixel of the window, hence of the input, hence of the image on disk.
    side = model.image_encoder.patch_size
    pixels = tokens.repeat_interleave(side, 0).repeat_interleave(side, 1)
    whole = torch.full(inputs.shape[-2:], -1, device=tokens.device)
    whole[top:bottom, left:right] = pixels[: bottom - top, : right - left]
    masks = torch.stack([whole == region for region in range(-1, int(tokens.max()) + 1)])
    regions = to_original(masks.float(), metainfo).argmax(0).cpu().numpy() - 1
    query = int(regions[int(point[1]), int(point[0])])
    there = set(np.unique(regions).tolist())  # (some hold padding only)
    return AttendedRegions(regions, query, [r for r in routes[0, query].tolist() if r in there])


@torch.no_grad()
def region_routes(
    head: ConsensusHead, patch_embeddings: Tensor, cls_embedding: Tensor, class_embeddings: Tensor
) -> tuple[Tensor, Tensor]:
    """Which regions attend to which, in the last layer with LCSA.

    Args:
        head: that decodes the image.
        patch_embeddings: V, ``(B, D, h, w)``.
        cls_embedding: g, ``(B, D)``.
        class_embeddings: T, ``(C, D)``.

    Returns:
        Routes ``(B, R, k)``, see :meth:`RouteAttention.routes`, and the region of each token
        ``(h, w)``.

    Raises:
        InputError: there is no LCSA.
    """
    attention = head.decoder.consensus_layers()[-1].local_consensus
    with calls_of(attention) as calls:
        head(patch_embeddings, cls_embedding, class_embeddings)
    (tokens, grid), _ = calls[0]
    region = attention.region_of_tokens(grid, tokens.device)
    return attention.routes(tokens, grid), region.unflatten(0, grid)


def _query(scene: Scene, classes: Sequence[str]) -> tuple[int, tuple[float, float]]:
    """A class to ask about, the largest of those meant, and the inmost point (x, y) of it."""
    wanted = [each for each in scene.present() if scene.vocabulary.classes[each] in classes]
    label = (wanted or scene.unseen() or scene.present() or [0])[0]
    mask = np.pad(scene.labels == label, 1).astype(np.uint8)
    depth = cv2.distanceTransform(mask, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    y, x = np.unravel_index(depth.argmax(), depth.shape)
    return label, (float(x), float(y))


def _frames(axes: Axes, shown: AttendedRegions, others: Sequence[int], colour: str) -> None:
    """A thin frame around each of the others, then a thick one around the query."""
    from matplotlib.patches import Rectangle

    for region in [*others, shown.query]:
        edge, thickness = (QUERY, 1.2) if region == shown.query else (colour, 0.6)
        ys, xs = np.nonzero(shown.regions == region)
        corner, size = (xs.min(), ys.min()), (np.ptp(xs) + 1, np.ptp(ys) + 1)
        axes.add_patch(Rectangle(corner, *size, fill=False, edgecolor=edge, linewidth=thickness))
