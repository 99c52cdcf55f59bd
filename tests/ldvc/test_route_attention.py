"""Route attention against a slow loop over its definition, on every kind of grid."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ldvc import RouteAttention

Grid = tuple[int, int]
# Square and not, divided by p and not, smaller than p.
GRIDS: list[Grid] = [(4, 4), (6, 6), (5, 7), (2, 9), (2, 2)]


def build(regions_per_side: int, topk: int, **changes: Any) -> RouteAttention:
    torch.manual_seed(0)
    attention = RouteAttention(8, 2, regions_per_side, topk, **changes).double()
    for parameter in attention.parameters():
        nn.init.normal_(parameter, std=0.5)
    return attention


def tokens_of(grid: Grid, batch: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(batch, grid[0] * grid[1], 8, generator=generator, dtype=torch.float64)


def regions_of(grid: Grid, regions_per_side: int) -> list[list[int]]:
    """The tokens of each region, row by row; those at the end may be smaller or empty."""
    height, width = (math.ceil(side / regions_per_side) for side in grid)
    return [
        [
            y * grid[1] + x
            for y in range(row * height, min((row + 1) * height, grid[0]))
            for x in range(column * width, min((column + 1) * width, grid[1]))
        ]
        for row in range(regions_per_side)
        for column in range(regions_per_side)
    ]


def slow(attention: RouteAttention, tokens: Tensor, grid: Grid) -> tuple[Tensor, list[Any]]:
    """Output, and the routes of every image's regions that are not empty."""
    query, key, value = attention.query(tokens), attention.key(tokens), attention.value(tokens)
    regions = regions_of(grid, attention.regions_per_side)
    outputs, all_routes = [], []
    for q, k, v in zip(query, key, value, strict=True):
        rows: list[Tensor | None] = [None] * len(q)
        real = [number for number, members in enumerate(regions) if members]
        routes = {}
        for number in real:
            mine = q[regions[number]].mean(dim=0)
            affinity = torch.stack([mine @ k[regions[other]].mean(dim=0) for other in real])
            affinity = affinity / math.sqrt(len(mine))
            chosen = affinity.argsort(descending=True)[: attention.topk].tolist()
            routes[number] = [real[index] for index in chosen]
            share = affinity[chosen].softmax(dim=0)
            for token in regions[number]:
                heads = []
                for head in range(attention.num_heads):
                    part = slice(4 * head, 4 * head + 4)
                    weights, values = [], []
                    for index, other in enumerate(routes[number]):
                        for source in regions[other]:
                            weight = (q[token, part] @ k[source, part] / 2).exp()
                            if attention.routing == "differentiable":
                                weight = weight * share[index]
                            weights.append(weight)
                            values.append(v[source, part])
                    stacked = torch.stack(weights)
                    heads.append((stacked / stacked.sum()) @ torch.stack(values))
                rows[token] = torch.cat(heads)
        outputs.append(torch.stack([row for row in rows if row is not None]))
        all_routes.append(routes)
    return attention.output(torch.stack(outputs)), all_routes


def gradients(attention: RouteAttention, output: Tensor, tokens: Tensor) -> dict[str, Tensor]:
    weights = torch.linspace(-1, 1, output.numel(), dtype=output.dtype).view_as(output)
    named = {"tokens": tokens, **dict(attention.named_parameters())}
    found = torch.autograd.grad((output * weights).sum(), list(named.values()))
    return dict(zip(named, found, strict=True))


@pytest.mark.parametrize("routing", ["detached", "differentiable"])
@pytest.mark.parametrize(
    ("regions_per_side", "topk"), [(1, 1), (2, 1), (2, 3), (3, 2), (3, 9), (4, 5)]
)
@pytest.mark.parametrize("grid", GRIDS)
def test_is_its_definition(grid: Grid, regions_per_side: int, topk: int, routing: str) -> None:
    attention = build(regions_per_side, topk, routing=routing)
    tokens = tokens_of(grid, batch=2 if grid == (5, 7) else 1).requires_grad_()
    expected, routes = slow(attention, tokens, grid)
    output = attention(tokens, grid)
    torch.testing.assert_close(output, expected, rtol=0, atol=1e-9)
    found = gradients(attention, output, tokens)
    for name, gradient in gradients(attention, expected, tokens).items():
        torch.testing.assert_close(found[name], gradient, rtol=0, atol=1e-9, msg=name)
    for chosen, wanted in zip(attention.routes(tokens, grid), routes, strict=True):
        for number, route in wanted.items():
            assert chosen[number].tolist() == route + [-1] * (topk - len(route))


@pytest.mark.parametrize("regions_per_side", [1, 2, 3, 8])
@pytest.mark.parametrize("grid", GRIDS)
def test_all_regions_is_full_self_attention(grid: Grid, regions_per_side: int) -> None:
    attention = build(regions_per_side, regions_per_side**2)
    tokens = tokens_of(grid)
    query, key, value = (
        each(tokens).unflatten(-1, (2, 4)).transpose(1, 2)
        for each in (attention.query, attention.key, attention.value)
    )
    attended = (query @ key.transpose(-1, -2) / 2).softmax(dim=-1) @ value
    full = attention.output(attended.transpose(1, 2).flatten(2))
    torch.testing.assert_close(attention(tokens, grid), full, rtol=0, atol=1e-9)


def test_images_do_not_see_each_other() -> None:
    attention, tokens = build(2, 2), tokens_of((6, 5), batch=3)
    alone = torch.cat([attention(each[None], (6, 5)) for each in tokens])
    torch.testing.assert_close(attention(tokens, (6, 5)), alone)


@pytest.mark.parametrize("topk", [2, 4])  # 4: all regions
@pytest.mark.parametrize("grid", [(4, 6), (5, 7)])
def test_local_enhancement_is_a_depthwise_convolution_of_the_values(grid: Grid, topk: int) -> None:
    attention, tokens = build(2, topk, local_kernel=3), tokens_of(grid)
    assert attention.local_enhancement is not None
    with_local = attention(tokens, grid)
    weight, bias = attention.local_enhancement.weight, attention.local_enhancement.bias
    attention.local_enhancement = None
    without = attention(tokens, grid)
    values = F.pad(attention.value(tokens).transpose(1, 2).unflatten(2, grid), (1, 1, 1, 1))
    local = sum(
        weight[:, 0, dy, dx, None, None] * values[:, :, dy : dy + grid[0], dx : dx + grid[1]]
        for dy in range(3)
        for dx in range(3)
    )
    assert isinstance(local, Tensor) and bias is not None
    added = (local + bias[:, None, None]).flatten(2).transpose(1, 2) @ attention.output.weight.T
    torch.testing.assert_close(with_local - without, added)


@pytest.mark.parametrize("routing", ["detached", "differentiable"])
def test_half_precision_is_near(routing: str) -> None:
    attention = build(2, 2, routing=routing).float()
    tokens = tokens_of((5, 6)).float().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        half = attention(tokens, (5, 6))
        half_routes = attention.routes(tokens, (5, 6))
    half.float().sum().backward()
    assert tokens.grad is not None and tokens.grad.isfinite().all()
    # The routes may differ where affinities are close: not in most regions.
    routes = attention.routes(tokens, (5, 6))
    same = (routes.sort(dim=-1).values == half_routes.sort(dim=-1).values).all(dim=-1)  # (B, R)
    same = same[:, attention.region_of_tokens((5, 6), tokens.device)]
    assert same.float().mean() > 0.5
    difference = (half.float() - attention(tokens, (5, 6))).abs().amax(dim=-1)
    assert difference[same].max() < 0.1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_heads": 3}, "num_heads=3 does not divide embed_dims=8"),
        ({"topk": 5}, r"topk=5 must be from 1 to regions_per_side . regions_per_side = 4"),
        ({"topk": 0}, "topk=0"),
        ({"routing": "soft"}, "'soft' is not one of detached, differentiable"),
        ({"local_kernel": 4}, "local_kernel=4 must be odd"),
    ],
)
def test_settings_that_cannot_be(changes: dict[str, Any], message: str) -> None:
    settings = {"num_heads": 2, "regions_per_side": 2, "topk": 2, **changes}
    with pytest.raises(ValueError, match=message):
        RouteAttention(8, **settings)
