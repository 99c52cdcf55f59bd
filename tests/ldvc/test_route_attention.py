"""Route attention against a slow loop over its definition, on every kind of grid."""

from __future__ import annotations

import math
from contextlib import nullcontext
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ldvc import RouteAttention, route_attention
from ldvc.region_grid import RegionGrid

Grid = tuple[int, int]
# Square and not, divided by p and not, smaller than p.
GRIDS: list[Grid] = [(4, 4), (6, 6), (5, 7), (2, 9), (2, 2)]


def build(num_regions: int, topk: int, **changes: Any) -> RouteAttention:
    torch.manual_seed(0)
    attention = RouteAttention(8, 2, num_regions, topk, **changes).double()
    for parameter in attention.parameters():
        nn.init.normal_(parameter, std=0.5)
    return attention


def tokens_of(grid: Grid, batch: int = 2, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, grid[0] * grid[1], 8, generator=generator, dtype=torch.float64)


def regions_of(grid: Grid, num_regions: int) -> list[list[int]]:
    """The tokens of each region, row by row; no padding anywhere."""
    height, width = math.ceil(grid[0] / num_regions), math.ceil(grid[1] / num_regions)
    return [
        [
            y * grid[1] + x
            for y in range(row * height, min((row + 1) * height, grid[0]))
            for x in range(column * width, min((column + 1) * width, grid[1]))
        ]
        for row in range(num_regions)
        for column in range(num_regions)
    ]


def slow(attention: RouteAttention, tokens: Tensor, grid: Grid) -> tuple[Tensor, list[Any]]:
    """Output, and the routes of every image's real regions."""
    query, key, value = attention.query(tokens), attention.key(tokens), attention.value(tokens)
    regions = regions_of(grid, attention.num_regions)
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
    found = torch.autograd.grad((output * weights).sum(), list(named.values()), allow_unused=True)
    return {
        name: torch.zeros_like(tensor) if gradient is None else gradient
        for (name, tensor), gradient in zip(named.items(), found, strict=True)
    }


def through_gathering(attention: RouteAttention, tokens: Tensor, grid: Grid) -> Tensor:
    """What ``forward`` computes, without its short cut at k = p * p."""
    regions = RegionGrid(grid, attention.num_regions)
    split = regions.split(tokens)
    projected = attention.query(split), attention.key(split), attention.value(split)
    attended = attention._attend_along_routes(*projected, regions)
    return attention.output(regions.merge(attended))


@pytest.mark.parametrize("routing", ["detached", "differentiable"])
@pytest.mark.parametrize(("num_regions", "topk"), [(1, 1), (2, 1), (2, 3), (3, 2), (3, 9), (4, 5)])
@pytest.mark.parametrize("grid", GRIDS)
def test_is_its_definition(grid: Grid, num_regions: int, topk: int, routing: str) -> None:
    attention = build(num_regions, topk, routing=routing)
    tokens = tokens_of(grid, batch=2 if grid == (5, 7) else 1).requires_grad_()
    expected, routes = slow(attention, tokens, grid)
    wanted_gradients = gradients(attention, expected, tokens)
    for compute in (attention, partial(through_gathering, attention)):
        output = compute(tokens, grid)
        torch.testing.assert_close(output, expected, rtol=0, atol=1e-9)
        found_gradients = gradients(attention, output, tokens)
        for name, gradient in wanted_gradients.items():
            torch.testing.assert_close(found_gradients[name], gradient, rtol=0, atol=1e-9, msg=name)
    for found, wanted in zip(attention.routes(tokens, grid), routes, strict=True):
        for number, route in wanted.items():
            assert found[number].tolist() == route + [-1] * (topk - len(route))


@pytest.mark.parametrize("num_regions", [1, 2, 3, 8])
@pytest.mark.parametrize("grid", GRIDS)
def test_all_regions_is_full_self_attention(grid: Grid, num_regions: int) -> None:
    attention = build(num_regions, num_regions**2).float()
    tokens = tokens_of(grid).float()
    query, key, value = (
        each(tokens).unflatten(-1, (2, 4)).transpose(1, 2)
        for each in (attention.query, attention.key, attention.value)
    )
    attended = (query @ key.transpose(-1, -2) / 2).softmax(dim=-1) @ value
    full = attention.output(attended.transpose(1, 2).flatten(2))
    torch.testing.assert_close(attention(tokens, grid), full, rtol=0, atol=1e-5)
    torch.testing.assert_close(through_gathering(attention, tokens, grid), full, rtol=0, atol=1e-5)


@pytest.mark.parametrize("routing", ["detached", "differentiable"])
@pytest.mark.parametrize("grid", [(8, 8), (7, 5)])
def test_parts_change_nothing(grid: Grid, routing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    attention = build(3, 4, routing=routing)
    tokens = tokens_of(grid).requires_grad_()
    whole = attention(tokens, grid)
    calls: list[Tensor] = []
    attend = attention._attend_gathered

    def counted(query: Tensor, *rest: Any) -> Tensor:
        calls.append(query)
        return attend(query, *rest)

    monkeypatch.setattr(attention, "_attend_gathered", counted)
    monkeypatch.setitem(route_attention.GATHERED_AT_ONCE, "cpu", 1)
    parts = attention(tokens, grid)
    assert len(calls) == 9 and all(query.shape[1] == 1 for query in calls)
    torch.testing.assert_close(parts, whole, rtol=0, atol=1e-12)
    expected = gradients(attention, whole, tokens)
    for name, gradient in gradients(attention, parts, tokens).items():
        torch.testing.assert_close(gradient, expected[name], rtol=0, atol=1e-12, msg=name)


class Storages(TorchDispatchMode):
    """Remembers, without keeping it alive, every piece of memory that an operation fills."""

    def __init__(self) -> None:
        super().__init__()
        self.made: dict[int, tuple[StorageWeakRef, int]] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(output):
            if isinstance(tensor, Tensor):
                storage = StorageWeakRef(tensor.untyped_storage())
                self.made.setdefault(storage.cdata, (storage, tensor.untyped_storage().nbytes()))
        return output

    def sizes(self, kept: bool) -> list[int]:
        """Bytes of all, or of those that are still in memory."""
        return [size for storage, size in self.made.values() if not (kept and storage.expired())]


def large_storages(attention: RouteAttention, grid: Grid) -> tuple[int, int]:
    """How much of more than twice the queries' size a forward pass makes, and how much it keeps.

    With k = 8 a gathered copy, the gathered keys scaled or cast, is eight times the queries'.
    """
    tokens = tokens_of(grid).requires_grad_()
    padded = RegionGrid(grid, attention.num_regions).split(tokens)
    limit = 2 * padded.numel() * padded.element_size()
    with Storages() as storages:
        output = attention(tokens, grid)
    assert output.requires_grad
    made, kept = (sum(size > limit for size in storages.sizes(kept)) for kept in (False, True))
    return made, kept


@pytest.mark.parametrize("routing", ["detached", "differentiable"])
@pytest.mark.parametrize("grid", [(8, 8), (7, 6)])
def test_nothing_of_gathered_size_is_kept(grid: Grid, routing: str) -> None:
    made, kept = large_storages(build(4, 8, routing=routing), grid)
    assert made >= 2 and kept == 0


@pytest.mark.parametrize(
    ("routing", "name", "without"),
    [
        ("detached", "gathered_again", lambda *_: nullcontext()),
        ("differentiable", "checkpoint", lambda attend, *part, **_: attend(*part)),
    ],
)
def test_what_frees_the_gathered_copies(
    routing: str, name: str, without: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(route_attention, name, without)
    _, kept = large_storages(build(4, 8, routing=routing), (8, 8))
    assert kept >= 2


def test_padding_changes_nothing() -> None:
    """Whatever stands on padding: a grid is decoded as the real part of a larger one."""
    regions = RegionGrid((5, 7), 3)
    tokens = tokens_of((5, 7))
    assert regions.is_padded and regions.valid(tokens.device).sum() == 35
    assert regions.split(tokens).shape == (2, 9, 6, 8)
    assert regions.merge(regions.split(tokens)).equal(tokens)
    attention = build(3, 4)
    expected = attention(tokens, (5, 7))
    split = RegionGrid.split

    def noisy(self: RegionGrid, tokens: Tensor) -> Tensor:
        """Anything but 0 on padding."""
        real = split(self, torch.ones_like(tokens)) > 0
        return torch.where(real, split(self, tokens), 1e3)

    valid = regions.valid(tokens.device)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RegionGrid, "valid", lambda self, device: valid)
        patch.setattr(RegionGrid, "split", noisy)
        output = attention(tokens, (5, 7))
    torch.testing.assert_close(output, expected, rtol=0, atol=1e-9)


def test_images_do_not_see_each_other() -> None:
    attention, tokens = build(2, 2), tokens_of((6, 5), batch=3)
    alone = torch.cat([attention(each[None], (6, 5)) for each in tokens])
    torch.testing.assert_close(attention(tokens, (6, 5)), alone)


def test_only_differentiable_routes_learn_from_affinities(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for routing in ("detached", "differentiable"):
        attention, tokens = build(2, 2, routing=routing), tokens_of((5, 4)).requires_grad_()
        affinities: list[Tensor] = []
        route = attention._route

        def kept(
            *arguments: Tensor, route: Any = route, seen: list[Tensor] = affinities
        ) -> tuple[Tensor, Tensor]:
            affinity, routes = route(*arguments)
            seen.append(affinity)
            return affinity, routes

        monkeypatch.setattr(attention, "_route", kept)
        output = attention(tokens, (5, 4))
        (affinity,) = affinities
        if routing == "detached":
            assert not affinity.requires_grad
        else:
            affinity.retain_grad()
            output.square().sum().backward()
            assert affinity.grad is not None and affinity.grad.abs().amin(dim=(0, 2)).gt(0).all()


@pytest.mark.parametrize("routing", ["detached", "differentiable"])
def test_no_image_gives_no_image(routing: str) -> None:
    assert build(2, 2, routing=routing)(tokens_of((5, 4), batch=0), (5, 4)).shape == (0, 20, 8)


@pytest.mark.parametrize("changes", [{}, {"routing": "differentiable"}, {"local_kernel": 3}])
def test_gradcheck(changes: dict[str, Any]) -> None:
    attention = build(2, 2, **changes)
    tokens = tokens_of((3, 4), batch=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: attention(x, (3, 4)), (tokens,))


@pytest.mark.parametrize("topk", [2, 4])  # 4: by the short cut
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
    assert half.dtype == torch.bfloat16
    half.float().sum().backward()
    assert tokens.grad is not None and tokens.grad.isfinite().all()
    # The routes may differ where affinities are close: most tokens are the same.
    near = (half.float() - attention(tokens, (5, 6))).abs().amax(dim=-1) < 0.1
    assert near.float().mean() > 0.7


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_heads": 3}, "num_heads=3 does not divide embed_dims=8"),
        ({"topk": 5}, "topk=5 must be a whole number from 1 to num_regions . num_regions = 4"),
        ({"topk": 0}, "topk=0"),
        ({"num_regions": 0}, "num_regions=0 must be a whole number from 1"),
        ({"routing": "soft"}, "'soft' is not one of detached, differentiable"),
        ({"local_kernel": 4}, "local_kernel=4 must be odd"),
    ],
)
def test_settings_that_cannot_be(changes: dict[str, Any], message: str) -> None:
    settings = {"num_heads": 2, "num_regions": 2, "topk": 2, **changes}
    with pytest.raises(ValueError, match=message):
        RouteAttention(8, **settings)


@pytest.mark.parametrize("topk", [2, 4])
def test_tokens_that_are_no_grid(topk: int) -> None:
    with pytest.raises(ValueError, match=r"30 tokens do not fill a grid of \(4, 6\)"):
        build(2, topk)(tokens_of((5, 6)), (4, 6))
