"""Where a region's attention goes, and masks with and without that attention (LDVC, Fig. 5)."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image

from .method import Method, font_size_for
from .region_overlay import draw_grid, draw_routes
from .scene import Scene, bare_where_ignored
from .sheet import make_sheet
from .words import Word, with_words


def consensus_figure(
    method: Method,
    without: Method | None = None,
    point: tuple[float, float] | None = None,
    classes: Sequence[str] = (),
    panel_height: int = 224,
) -> Image.Image:
    """Rows of query region, the regions that it attends to, ground truth, and two predictions.

    Args:
        method: whose head has attention among regions (LDVC's LCSA).
        without: a model trained without it; default: ``method`` with it switched off.
        point: (x, y) in pixels of the image, whose region is the query. Default: the inmost point
            of the largest object of ``classes``, or of an unseen class, or of any.
        classes: see ``point``.
        panel_height: pixels.

    Raises:
        InputError: ``method`` has no attention among regions.
    """
    size = font_size_for(panel_height)
    rows, is_window = [], False
    for row in range(len(method.indices)):
        scene = method.scene(row, panel_height)
        label, inmost = _query(scene, classes)
        shown = method.model.region_at(method.data(row), point or inmost)
        x, y = scene.scale
        places = [
            None if p is None else (p[0] * x, p[1] * y, p[2] * x, p[3] * y)
            for p in shown.rectangles
        ]
        there = [place for place in places if place is not None]
        count, (height, width) = len(there), scene.image.shape[:2]
        lefts, tops, rights, bottoms = zip(*there)
        is_window |= max(rights) - min(lefts) < width - 1 or max(bottoms) - min(tops) < height - 1
        words = _words("region at a chosen point")
        if point is None:
            words = [*_words("region of"), scene.class_word(label)]
        attended = _words(f"{len(shown.routes)} of {count} regions")
        query = draw_grid(scene.image, places, shown.region)
        routes = draw_routes(scene.image, places, shown.region, shown.routes)
        if without is None:
            with method.model.decode_head.without_region_attention():
                bare = method.labels(row)
        else:
            bare = without.labels(row)
        masks = [scene.labels] + [
            bare_where_ignored(labels, scene.labels) for labels in (method.labels(row), bare)
        ]
        rows.append(
            [
                with_words(query, words, size),
                with_words(routes, attended, size),
                *(scene.coloured(labels, size) for labels in masks),
            ]
        )
    titles = ["Query region", "Attends to", "Ground truth", "With LCSA", "Without LCSA"]
    how = (
        "the same model, switched off at test time (it was trained with it)"
        if without is None
        else "another model, trained without it"
    )
    note = (
        "Regions of the last layer's attention among regions (LCSA): red, the query; yellow, "
        "those whose tokens it attends to."
        f"{' They are those of the sliding window around the query.' if is_window else ''}"
        f" Without LCSA: {how}. Unseen names in red."
    )
    return make_sheet(rows, titles, gap=8, note=note, font_size=size + 2)


def _words(text: str) -> list[Word]:
    return [Word(word) for word in text.split()]


def _query(scene: Scene, classes: Sequence[str]) -> tuple[int, tuple[float, float]]:
    """The class of the largest object that is meant, and the object's inmost point (x, y)."""
    present = scene.present()
    wanted = [label for label in present if scene.classes[label] in classes]
    unseen = [label for label in present if scene.is_unseen(label)]
    best = (0, 0, (scene.labels.shape[1] / 2, scene.labels.shape[0] / 2))
    for label in wanted or unseen or present:
        mask = (scene.labels == label).astype(np.uint8)
        count, parts, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
        if count < 2:
            continue
        part = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
        area = int(stats[part, cv2.CC_STAT_AREA])
        if area > best[0]:
            inside = np.pad((parts == part).astype(np.uint8), 1)
            distance = cv2.distanceTransform(inside, cv2.DIST_L2, 3)[1:-1, 1:-1]
            y, x = np.unravel_index(int(distance.argmax()), distance.shape)
            best = (area, label, (float(x) + 0.5, float(y) + 0.5))
    return best[1], best[2]
