"""Compose drawings over a background into one scene with an exact mask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from .artwork import Drawing

# Longest side of an object as a share of the scene's side, by the number of objects.
OBJECT_SIDE = {1: (0.35, 0.90), 2: (0.30, 0.70), 3: (0.27, 0.58), 4: (0.25, 0.50)}
MAX_ROTATION = 20.0  # degrees
MAX_OVERLAP = 0.35  # of the smaller box; the placement with the least is taken after six tries


@dataclass(frozen=True)
class Scene:
    """A composed picture.

    Attributes:
        image: (S, S, 3) uint8 RGB.
        mask: (S, S) uint8, 0 background, k the k-th drawing (from 1); later ones cover earlier.
        drawings: what was drawn, in order.
    """

    image: np.ndarray
    mask: np.ndarray
    drawings: tuple[Drawing, ...]


def random_colour(rng: np.random.Generator) -> np.ndarray:
    """(3,) float32 RGB, muted: the drawings are loud, the background is not."""
    grey = rng.uniform(70, 235)
    return np.clip(grey + rng.normal(0, 28, 3), 20, 250).astype(np.float32)


def random_background(rng: np.random.Generator, size: int) -> np.ndarray:
    """(size, size, 3) float32 RGB: plain, gradient, clouds, horizon or soft stripes, with grain."""
    kind = rng.integers(5)
    first, second = random_colour(rng), random_colour(rng)
    if kind == 0:
        image = np.broadcast_to(first, (size, size, 3)).copy()
    elif kind == 2:
        cells = int(rng.integers(3, 8))
        noise = rng.random((cells, cells, 1), dtype=np.float32)
        image = first + (second - first) * noise
        image = cv2.resize(image, (size, size), interpolation=cv2.INTER_CUBIC)
    else:
        angle = rng.uniform(0, 2 * np.pi)
        axis = np.linspace(-1, 1, size, dtype=np.float32)
        across = np.cos(angle) * axis[None] + np.sin(angle) * axis[:, None]
        if kind == 1:
            share = (across + 1.5) / 3
        elif kind == 3:
            tilt = rng.uniform(-0.2, 0.2)
            share = (axis[:, None] + tilt * axis[None] > rng.uniform(-0.4, 0.6)).astype(np.float32)
        else:
            share = 0.5 + 0.35 * np.sin(across * rng.uniform(4, 16))
        image = first + (second - first) * share[..., None].astype(np.float32)
    image += cv2.resize(rng.normal(0, 4, (size // 2, size // 2, 1)), (size, size))[..., None]
    return image.astype(np.float32)


def jittered(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(h, w, 4) uint8 -> premultiplied float32 RGBA with mildly changed colours, alpha in 0..1."""
    alpha = pixels[..., 3:].astype(np.float32) / 255
    gain = rng.uniform(0.85, 1.12) * rng.uniform(0.94, 1.06, 3)
    offset = rng.uniform(-10, 10)
    colour = np.clip(pixels[..., :3] * gain.astype(np.float32) + np.float32(offset), 0, 255)
    return np.concatenate([colour * alpha, alpha], axis=2, dtype=np.float32)


def transformed(drawing: Drawing, side: float, rng: np.random.Generator) -> np.ndarray:
    """The drawing with its longest side ``side`` pixels, maybe flipped, rotated: (h, w, 4)."""
    source = jittered(drawing.pixels, rng)
    if rng.random() < 0.5:
        source = source[:, ::-1]
    height, width = source.shape[:2]
    scale = side / max(height, width)
    aspect = np.exp(rng.uniform(-0.12, 0.12))
    angle = np.deg2rad(rng.uniform(-MAX_ROTATION, MAX_ROTATION))
    cos, sin = np.cos(angle), np.sin(angle)
    linear = np.array([[cos, -sin], [sin, cos]]) @ np.diag([scale * aspect, scale / aspect])
    out_width, out_height = np.ceil(np.abs(linear) @ [width, height]).astype(int) + 2
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    shift = np.array([(out_width - 1) / 2, (out_height - 1) / 2]) - linear @ centre
    matrix = np.concatenate([linear, shift[:, None]], axis=1)
    if scale < 0.6:  # warpAffine does not filter when it shrinks
        source = cv2.GaussianBlur(source, (0, 0), 0.4 / scale)
    return cv2.warpAffine(
        np.ascontiguousarray(source), matrix, (int(out_width), int(out_height))
    )  # (transparent outside)


def overlap(box: Sequence[float], other: Sequence[float]) -> float:
    """Common area of two (x0, y0, x1, y1) over that of the smaller."""
    width = min(box[2], other[2]) - max(box[0], other[0])
    height = min(box[3], other[3]) - max(box[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    smaller = min((b[2] - b[0]) * (b[3] - b[1]) for b in (box, other))
    return width * height / smaller


def paste(image: np.ndarray, mask: np.ndarray, layer: np.ndarray, x: int, y: int, label: int):
    """Blend a premultiplied layer at (x, y), in place; half covered pixels get its label."""
    size = image.shape[0]
    x0, y0 = max(x, 0), max(y, 0)
    x1, y1 = min(x + layer.shape[1], size), min(y + layer.shape[0], size)
    if x0 >= x1 or y0 >= y1:
        return
    part = layer[y0 - y : y1 - y, x0 - x : x1 - x]
    window = image[y0:y1, x0:x1]
    window *= 1 - part[..., 3:]
    window += part[..., :3]
    mask[y0:y1, x0:x1][part[..., 3] >= 0.5] = label


def compose_scene(
    drawings: Sequence[Drawing],
    rng: np.random.Generator,
    size: int = 96,
    object_side: tuple[float, float] | None = None,
) -> Scene:
    """Draw ``drawings`` over a random background; equal generators give equal scenes.

    Args:
        drawings: one to four, drawn in this order.
        rng: random numbers.
        size: side of the scene in pixels.
        object_side: range of the objects' longest side as a share of ``size``;
            default :data:`OBJECT_SIDE`.
    """
    image = random_background(rng, size)
    mask = np.zeros((size, size), np.uint8)
    low, high = object_side or OBJECT_SIDE[len(drawings)]
    boxes: list[tuple[int, int, int, int]] = []
    for label, drawing in enumerate(drawings, start=1):
        side = size * np.exp(rng.uniform(np.log(low), np.log(high)))
        layer = transformed(drawing, side, rng)
        height, width = layer.shape[:2]
        tries: list[tuple[float, tuple[int, int, int, int]]] = []
        while len(tries) < 6 and (not tries or tries[-1][0] > MAX_OVERLAP):
            # Up to 15 % of the object may lie outside.
            x = int(rng.uniform(-0.15 * width, size - 0.85 * width))
            y = int(rng.uniform(-0.15 * height, size - 0.85 * height))
            box = (x, y, x + width, y + height)
            tries.append((max((overlap(box, other) for other in boxes), default=0.0), box))
        box = min(tries, key=lambda each: each[0])[1]
        boxes.append(box)
        paste(image, mask, layer, box[0], box[1], label)
    return Scene(np.clip(image, 0, 255).astype(np.uint8), mask, tuple(drawings))
