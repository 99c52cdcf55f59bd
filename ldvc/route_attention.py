"""Route attention: every region attends to the tokens of the k regions that resemble it most.

Source: LDVC (route attention in the decoder's self-attention); that its routing is BiFormer's
(Sec. 3.2, bi-level routing attention): inferred.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from .region_grid import RegionGrid
from .shared_gather import SharedGather, SharedGradient, gathered_again

ROUTINGS = ("detached", "differentiable")
# Most elements of gathered keys and values at a time, by kind of device; what is more is done in
# parts. On a CPU they should stay near its cache.
GATHERED_AT_ONCE = {"cpu": 2**20, "cuda": 2**26}


class RouteAttention(nn.Module):
    """Multi-head self-attention over the tokens of each region's top-k regions.

    The grid is cut into p x p regions. A region's descriptor is the mean of its queries, and of
    its keys; the affinity of two regions is the product of the one's query and the other's key
    descriptor. Every token of a region attends to all tokens of the k regions of the highest
    affinity. With k = p * p that is full self-attention. Exact for every grid: where p does not
    divide it, padding is masked out of means, routes and attention.

    Source: BiFormer, Sec. 3.2. That LDVC uses it with p = 8, k = 16 and detached routes is
    inferred; the paper's text as we have it gives no numbers.

    Args:
        embed_dims: D.
        num_heads: attention heads; must divide D.
        num_regions: p, regions a side.
        topk: k, regions that a region attends to, from 1 to p * p.
        routing: ``"detached"``: affinities only choose (BiFormer). ``"differentiable"`` (ours):
            the log-softmax over a region's k affinities is added to the attention logits of the
            gathered tokens, so that the descriptors learn; then k = p * p is not full attention.
        local_kernel: side of a depthwise convolution of the values that is added to the result
            (BiFormer's local enhancement); 0: none.
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int = 8,
        num_regions: int = 8,
        topk: int = 16,
        routing: str = "detached",
        local_kernel: int = 0,
    ) -> None:
        super().__init__()
        if embed_dims % num_heads:
            raise ValueError(f"num_heads={num_heads} does not divide embed_dims={embed_dims}")
        if not isinstance(num_regions, int) or num_regions < 1:
            raise ValueError(f"num_regions={num_regions!r} must be a whole number from 1")
        if not isinstance(topk, int) or not 1 <= topk <= num_regions**2:
            raise ValueError(
                f"topk={topk!r} must be a whole number from 1 to num_regions * num_regions = "
                f"{num_regions**2}"
            )
        if routing not in ROUTINGS:
            raise ValueError(f"routing={routing!r} is not one of {', '.join(ROUTINGS)}")
        if local_kernel < 0 or (local_kernel and local_kernel % 2 == 0):
            raise ValueError(f"local_kernel={local_kernel} must be odd, or 0 for none")
        self.num_heads = num_heads
        self.num_regions = num_regions
        self.topk = topk
        self.routing = routing
        self.query = nn.Linear(embed_dims, embed_dims)
        self.key = nn.Linear(embed_dims, embed_dims)
        self.value = nn.Linear(embed_dims, embed_dims)
        self.output = nn.Linear(embed_dims, embed_dims)
        self.local_enhancement = (
            nn.Conv2d(
                embed_dims, embed_dims, local_kernel, padding=local_kernel // 2, groups=embed_dims
            )
            if local_kernel
            else None
        )

    def forward(self, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        """Attend.

        Args:
            tokens: ``(B, H * W, D)``, row by row.
            grid: (H, W).

        Returns:
            ``(B, H * W, D)``.
        """
        if tokens.shape[1] != grid[0] * grid[1]:
            raise ValueError(f"{tokens.shape[1]} tokens do not fill a grid of {grid}")
        if self.topk == self.num_regions**2 and self.routing == "detached":
            # Every region attends to all: the same, without the gathering.
            value = self.value(tokens)
            attended = self._attend(self.query(tokens), self.key(tokens), value)
            return self.output(self._enhanced(attended, value, grid))
        regions = RegionGrid(grid, self.num_regions)
        split = regions.split(tokens)
        query, key, value = self.query(split), self.key(split), self.value(split)
        attended = regions.merge(self._attend_along_routes(query, key, value, regions))
        if self.local_enhancement is not None:
            attended = self._enhanced(attended, regions.merge(value), grid)
        return self.output(attended)

    def _enhanced(self, attended: Tensor, value: Tensor, grid: tuple[int, int]) -> Tensor:
        """With the depthwise convolution of the values, ``(B, H * W, D)``, if there is one."""
        if self.local_enhancement is None:
            return attended
        local = self.local_enhancement(value.transpose(1, 2).unflatten(2, grid))
        return attended + local.flatten(2).transpose(1, 2)

    @torch.no_grad()
    def routes(self, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        """The regions that each region attends to, most alike first.

        Args:
            tokens: ``(B, H * W, D)``.
            grid: (H, W).

        Returns:
            Region indices, row by row, ``(B, p * p, k)``; -1 where a small grid has fewer regions
            than k that are not padding.
        """
        regions = RegionGrid(grid, self.num_regions)
        split = regions.split(tokens)
        valid = regions.valid(tokens.device)
        affinity, routes = self._route(self.query(split), self.key(split), valid)
        return routes.masked_fill(affinity.isneginf(), -1)

    def _attend_along_routes(
        self, query: Tensor, key: Tensor, value: Tensor, regions: RegionGrid
    ) -> Tensor:
        """``(B, p * p, n, D)`` each, whatever is on padding -> ``(B, p * p, n, D)``."""
        valid = regions.valid(query.device)
        affinity, routes = self._route(query, key, valid)
        # Elements of the keys and values of one region of every image.
        in_one = 2 * key[:, :1].numel() * self.topk
        at_once = GATHERED_AT_ONCE.get(query.device.type, GATHERED_AT_ONCE["cuda"])
        if torch.compiler.is_compiling():  # a graph for all sizes has no parts that depend on them
            regions_at_once = self.num_regions**2
        else:
            regions_at_once = max(1, at_once // max(1, in_one))
        attend: Callable[..., Tensor] = self._attend_gathered
        if self.routing == "differentiable" and torch.is_grad_enabled():
            # With a bias that learns, torch keeps copies of its own: all is computed again.
            attend = partial(checkpoint, attend, use_reentrant=False, preserve_rng_state=False)
        parts = list(
            zip(
                query.split(regions_at_once, dim=1),
                affinity.split(regions_at_once, dim=1),
                routes.split(regions_at_once, dim=1),
                strict=True,
            )
        )
        sources = [(key, SharedGradient(len(parts))), (value, SharedGradient(len(parts)))]
        masked = valid if regions.is_padded else None
        return torch.cat([attend(*part, *sources, masked) for part in parts], dim=1)

    def _route(self, query: Tensor, key: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Affinities and indices of the top-k regions, ``(B, p * p, k)`` each.

        Args:
            query: ``(B, p * p, n, D)``.
            key: as ``query``.
            valid: which tokens are real, ``(p * p, n)`` bool.
        """
        if self.routing == "detached":
            query, key = query.detach(), key.detach()
        # Means over the real tokens of each region, as products with their weights.
        real = valid.to(query.dtype)
        weights = (real / real.sum(dim=1, keepdim=True).clamp(min=1))[:, None]
        query_descriptors, key_descriptors = (weights @ query)[:, :, 0], (weights @ key)[:, :, 0]
        affinity = query_descriptors @ key_descriptors.transpose(1, 2)
        affinity = affinity / math.sqrt(query.shape[-1])
        affinity = affinity.masked_fill(~valid.any(dim=1), -torch.inf)  # regions of padding
        best = affinity.topk(self.topk, dim=-1)
        return best.values, best.indices

    def _attend_gathered(
        self,
        query: Tensor,
        affinity: Tensor,
        routes: Tensor,
        key: tuple[Tensor, SharedGradient],
        value: tuple[Tensor, SharedGradient],
        valid: Tensor | None,
    ) -> Tensor:
        """Attention of r regions to the regions of their routes.

        Args:
            query: ``(B, r, n, D)``.
            affinity: ``(B, r, k)``.
            routes: ``(B, r, k)``.
            key: of all regions, ``(B, p * p, n, D)``, and where its gradient is added up.
            value: as ``key``.
            valid: ``(p * p, n)``, or ``None`` where all tokens are real.

        Returns:
            ``(B, r, n, D)``.
        """
        batch, num_regions, size, channels = key[0].shape
        # Rows of one matrix, so that a region is copied as a whole.
        rows = routes + num_regions * torch.arange(batch, device=routes.device)[:, None, None]
        rows = rows.flatten()

        def gather(source: tuple[Tensor, SharedGradient]) -> Tensor:
            tokens, gradient = source
            matrix = tokens.flatten(0, 1).flatten(1)
            if torch.is_grad_enabled():
                picked = SharedGather.apply(matrix, rows, gradient)
            else:
                picked = matrix.index_select(0, rows)
            return picked.view(-1, self.topk * size, channels)  # (B * r, k * n, D)

        bias = None
        if self.routing == "differentiable":
            bias = affinity.log_softmax(dim=-1)[..., None].expand(-1, -1, -1, size).flatten(2)
        if valid is not None:
            real = valid[routes].flatten(2)  # (B, r, k * n)
            bias = real if bias is None else bias.masked_fill(~real, -torch.inf)
        if bias is not None:
            bias = bias.flatten(0, 1)[:, None, None]
        keys, values = gather(key), gather(value)
        again = [(keys, lambda: gather(key)), (values, lambda: gather(value))]
        keeps_nothing = self.routing == "detached" and torch.is_grad_enabled()
        with gathered_again(*again) if keeps_nothing else nullcontext():
            attended = self._attend(query.flatten(0, 1), keys, values, bias)
        return attended.view(query.shape)

    def _attend(
        self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None
    ) -> Tensor:
        """Multi-head attention: ``(N, L, D)``, ``(N, S, D)``, ``(N, S, D)`` -> ``(N, L, D)``."""
        query, key, value = (
            tokens.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for tokens in (query, key, value)
        )
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return attended.transpose(1, 2).flatten(2)

    def extra_repr(self) -> str:
        return (
            f"num_heads={self.num_heads}, num_regions={self.num_regions}, topk={self.topk}, "
            f"routing={self.routing!r}"
        )
