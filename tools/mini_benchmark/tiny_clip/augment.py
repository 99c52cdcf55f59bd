"""Changes of whole pictures in pretraining: few drawings must stand for all of their class."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

MAX_ROTATION = 15.0  # degrees
MAX_SHEAR = 0.15
MAX_STRETCH = 0.2  # of log scale, each axis
MAX_BEND = 0.08  # of the picture's side, smooth
RECOLOURED = 0.15  # share of pictures whose hues are turned by any angle
GREY = 0.05
INVERTED = 0.01


def warped(images: Tensor, rng: torch.Generator) -> Tensor:
    """(B, 3, S, S) rotated, sheared, stretched and bent, each in its own way; mirrored outside."""
    number, device = len(images), images.device

    def uniform(limit: float, *shape: int) -> Tensor:
        return (torch.rand(number, *shape, generator=rng, device=device) * 2 - 1) * limit

    angle = uniform(math.radians(MAX_ROTATION))
    rotation = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], 1)
    shear = torch.eye(2, device=device).repeat(number, 1, 1)
    shear[:, 0, 1] = uniform(MAX_SHEAR)
    linear = rotation.view(-1, 2, 2) @ shear * uniform(MAX_STRETCH, 2, 1).exp()
    theta = torch.cat([linear, uniform(0.1, 2, 1)], 2)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    bend = F.interpolate(uniform(MAX_BEND, 2, 4, 4), images.shape[2:], mode="bicubic")
    grid = grid + bend.permute(0, 2, 3, 1)
    return F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)


def recoloured(images: Tensor, rng: torch.Generator) -> Tensor:
    """(B, 3, S, S) in 0..255 with other hues, saturation, contrast and brightness."""
    number, device = len(images), images.device

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return torch.rand(number, *shape, generator=rng, device=device) * (high - low) + low

    # Turn the colours about the grey axis; saturation is the distance from it.
    angle = uniform(-math.pi, math.pi) * (uniform(0, 1) < RECOLOURED)
    saturation = uniform(0.7, 1.2) * (uniform(0, 1) >= GREY)
    grey = torch.full((3, 3), 1 / 3, device=device)
    across = torch.tensor([[0, -1, 1], [1, 0, -1], [-1, 1, 0]], device=device) / 3**0.5
    turned = (
        angle.cos()[:, None, None] * (torch.eye(3, device=device) - grey)
        + angle.sin()[:, None, None] * across
    )
    matrix = grey + saturation[:, None, None] * turned
    images = torch.einsum("bij,bjhw->bihw", matrix, images)
    images = (images - 128) * uniform(0.8, 1.2, 1, 1, 1) + 128 + uniform(-15, 15, 1, 1, 1)
    inverted = uniform(0, 1, 1, 1, 1) < INVERTED
    images = torch.where(inverted, 255 - images, images)
    noise = torch.randn(images.shape, generator=rng, device=device) * uniform(0, 5, 1, 1, 1)
    return (images + noise).clamp(0, 255)


def augmented(images: Tensor, rng: torch.Generator) -> Tensor:
    """(B, 3, S, S) in 0..255: warped and recoloured."""
    return recoloured(warped(images, rng), rng)
