"""Changes of single drawings in pretraining: few must stand for all of their class."""

from __future__ import annotations

import colorsys
from dataclasses import replace

import cv2
import numpy as np

from zegclip.datasets.mini.artwork import Drawing

MAX_TURN = 30.0  # degrees of hue
REPAINTED = 0.15  # share of drawings whose hue is turned by any angle
SATURATION = (0.4, 1.4)
GAMMA = 0.5  # of its logarithm, each way
MAX_BEND = 0.07  # of the longest side, smooth
STRETCH = 0.25  # of the logarithm of width by height, each way
CUT = 0.25  # share of drawings of which a part is missing
TINTED = 0.2  # share of drawings that are blended with a colour


def recoloured(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(h, w, 3) uint8 with another hue, saturation and contrast; maybe tinted."""
    turn = rng.uniform(-180, 180) if rng.random() < REPAINTED else rng.uniform(-MAX_TURN, MAX_TURN)
    cos, sin = np.cos(np.deg2rad(turn)), np.sin(np.deg2rad(turn))
    # About the grey axis; saturation is the distance from it.
    across = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / 3**0.5
    grey = np.full((3, 3), 1 / 3)
    matrix = grey + rng.uniform(*SATURATION) * (cos * (np.eye(3) - grey) + sin * across)
    colour = (pixels.astype(np.float32) @ matrix.T.astype(np.float32)).clip(0, 255) / 255
    colour **= np.exp(rng.uniform(-GAMMA, GAMMA))
    if rng.random() < TINTED:
        tint = np.array(colorsys.hsv_to_rgb(rng.random(), rng.uniform(0, 0.8), rng.uniform(0.3, 1)))
        colour += rng.uniform(0.1, 0.5) * (tint.astype(np.float32) - colour)
    return (255 * colour).astype(np.uint8)


def bent(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(h', w', 4) uint8: stretched, and bent smoothly within the new box."""
    height, width = pixels.shape[:2]
    stretch = np.exp(rng.uniform(-STRETCH, STRETCH) / 2)
    size = max(4, round(width * stretch)), max(4, round(height / stretch))
    bend = rng.uniform(-1, 1, (3, 3, 2)).astype(np.float32) * MAX_BEND * max(height, width)
    bend = cv2.resize(bend, size, interpolation=cv2.INTER_CUBIC)
    x, y = np.meshgrid(np.linspace(0, width - 1, size[0]), np.linspace(0, height - 1, size[1]))
    grid = np.stack([x, y], -1).astype(np.float32) + bend
    # (Of premultiplied colours, so that the colour of transparent pixels stays outside.)
    alpha = pixels[..., 3:].astype(np.float32) / 255
    premultiplied = np.concatenate([pixels[..., :3] * alpha, 255 * alpha], 2)
    out = cv2.remap(premultiplied, grid[..., 0], grid[..., 1], cv2.INTER_LINEAR)
    colour = 255 * out[..., :3] / np.maximum(out[..., 3:], 0.25)
    return np.concatenate([colour, out[..., 3:]], 2).clip(0, 255).astype(np.uint8)


def cut(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(h, w, 4) uint8 without what lies on one side of a line, up to two fifths of the box."""
    height, width = pixels.shape[:2]
    angle, share = rng.uniform(0, 2 * np.pi), rng.uniform(0.1, 0.4)
    x = np.linspace(-1, 1, width)[None] * np.cos(angle)
    side = x + np.linspace(-1, 1, height)[:, None] * np.sin(angle)
    left = pixels.copy()
    left[side > np.quantile(side, 1 - share), 3] = 0
    return left


def varied(drawing: Drawing, rng: np.random.Generator) -> Drawing:
    """A drawing as another artist might have done it, or a part of it; equal generators agree."""
    pixels = bent(drawing.pixels, rng)
    pixels = np.concatenate([recoloured(pixels[..., :3], rng), pixels[..., 3:]], 2)
    if rng.random() < CUT:
        pixels = cut(pixels, rng)
    return replace(drawing, pixels=pixels)
