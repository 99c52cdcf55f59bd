"""What classes attend to in the last layer, methods side by side (LDVC, Fig. 1)."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image

from .colour_bar import colour_bar
from .method import Method, font_size_for
from .overlay import draw_heat_map
from .scene import Scene
from .sheet import make_sheet
from .words import with_words

OPACITY = 0.6
OUTLINE = (255, 255, 255)


def attention_figure(
    methods: Sequence[Method], classes: Sequence[str] = (), panel_height: int = 224
) -> Image.Image:
    """A row for each class of each image: the image with the class outlined, and attention maps.

    Each map is scaled to its own range; what it is differs between methods and is said in the note
    (``attention_meaning`` of the heads).

    Args:
        methods: see :class:`Method`.
        classes: names; of those in an image's ground truth there is a row each. Default: the
            largest unseen class of each image, or the largest class where none is unseen.
        panel_height: pixels.
    """
    size = font_size_for(panel_height)
    rows = []
    for row in range(len(methods[0].indices)):
        scene = methods[0].scene(row, panel_height)
        maps = [method.model.attention_maps(method.data(row))[0] for method in methods]
        for label in _chosen(scene, classes):
            picture = _outlined(scene, label)
            pictures = [with_words(picture, [scene.class_word(label)], size)]
            for attention in maps:
                values = scaled(attention[label].float().cpu().numpy())
                heat = draw_heat_map(scene.image, scene.resized_map(values), OPACITY)
                pictures.append(heat)
            rows.append([*pictures, colour_bar(panel_height, size, OPACITY)])
    titles = ["Image and class", *(method.title for method in methods), ""]
    return make_sheet(rows, titles, gap=8, note=attention_note(methods), font_size=size + 2)


def scaled(values: np.ndarray) -> np.ndarray:
    """A map brought to 0..1 by its smallest and its largest value; a constant map becomes 0."""
    low, high = float(values.min()), float(values.max())
    return (values - low) / (high - low) if high > low else np.zeros_like(values)


def _chosen(scene: Scene, classes: Sequence[str]) -> list[int]:
    present = scene.present()
    if classes:
        wanted = [scene.classes.index(name) for name in classes]
        return [label for label in wanted if label in present] or wanted[:1]
    unseen = [label for label in present if scene.is_unseen(label)]
    return (unseen or present)[:1]


def _outlined(scene: Scene, label: int) -> Image.Image:
    """The image with a line around the class's pixels in the ground truth."""
    mask = scene.resized_labels((scene.labels == label).astype(np.uint8))
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    image = np.ascontiguousarray(scene.image.copy())
    cv2.drawContours(image, contours, -1, (0, 0, 0), 4)
    cv2.drawContours(image, contours, -1, OUTLINE, 2)
    return Image.fromarray(image)


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
