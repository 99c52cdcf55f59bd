"""Route attention: every region attends to the tokens of the k regions that resemble it most.

Source: LDVC (route attention in the decoder's self-attention); that its routing is BiFormer's
(Sec. 3.2, bi-level routing attention): inferred.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from zegclip.errors import InputError
from zegclip.heads import MultiHeadAttention

ROUTINGS = ("detached", "differentiable")


class RouteAttention(MultiHeadAttention):
    """Multi-head self-attention over the tokens of each region's top-k regions.

    The grid is cut into p x p regions. A region's descriptor is the mean of its queries, and of
    its keys; the affinity of two regions is the product of the one's query and the other's key
    descriptor. Every token of a region attends to all tokens of the k regions of the highest
    affinity. With k = p * p that is full self-attention. Where p does not divide a side, the last
    rows or columns of regions are smaller or empty (33 patches fill 7 of 8: six of 5, one of 3).

    The routes become a mask of full attention, which torch's fused attention takes: simpler than
    gathering keys and values, and faster up to 32x32 tokens.

    Source: BiFormer, Sec. 3.2. That LDVC uses it with p = 8, k = 16 and detached routes is
    inferred; the paper's text as we have it gives no numbers.

    Args:
        embed_dims: D.
        num_heads: attention heads; must divide D.
        regions_per_side: p.
        topk: k, regions that a region attends to, from 1 to p * p.
        routing: ``"detached"``: affinities only choose (BiFormer). ``"differentiable"`` (ours):
            the log-softmax over a region's k affinities is added to the attention logits, so that
            the descriptors learn; then k = p * p is not full attention.
        local_kernel: side of a depthwise convolution of the values that is added to the result
            (BiFormer's local enhancement); 0: none.

    Example:
        >>> attention = RouteAttention(512, num_heads=8, regions_per_side=8, topk=16)
        >>> attention(torch.randn(2, 32 * 32, 512), (32, 32)).shape
        torch.Size([2, 1024, 512])
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int = 8,
        regions_per_side: int = 8,
        topk: int = 16,
        routing: str = "detached",
        local_kernel: int = 0,
    ) -> None:
        super().__init__(embed_dims, num_heads)
        if not 1 <= topk <= regions_per_side**2:
            raise InputError(
                f"topk={topk} must be from 1 to regions_per_side * regions_per_side = "
                f"{regions_per_side**2}"
            )
        if routing not in ROUTINGS:
            raise InputError(f"routing={routing!r} is not one of {', '.join(ROUTINGS)}")
        if local_kernel and local_kernel % 2 == 0:
            raise InputError(f"local_kernel={local_kernel} must be odd, or 0 for none")
        self.regions_per_side = regions_per_side
        self.topk = topk
        self.routing = routing
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
        value = self.value(tokens)
        # Attention over all tokens, in which each sees those of its region's routes only.
        mask = self._mask(tokens, grid)
        attended = self.attend(self.query(tokens), self.key(tokens), value, mask)
        if self.local_enhancement is not None:
            local = self.local_enhancement(value.transpose(1, 2).unflatten(2, grid))
            attended = attended + local.flatten(2).transpose(1, 2)
        return self.output(attended)

    def _mask(self, tokens: Tensor, grid: tuple[int, int]) -> Tensor | None:
        """Which token may see which, ``(B, 1, N, N)``: bool, or what is added to the logits."""
        if self.topk == self.regions_per_side**2 and self.routing == "detached":
            return None
        region = self.region_of_tokens(grid, tokens.device)
        affinity, routes = self._route(tokens, region)
        mask = torch.zeros_like(affinity, dtype=torch.bool).scatter(-1, routes, True)  # (B, R, R)
        if self.routing == "differentiable":
            bias = affinity.gather(-1, routes).log_softmax(dim=-1).to(affinity.dtype)
            mask = torch.full_like(affinity, -torch.inf).scatter(-1, routes, bias)
        return mask[:, region][:, :, region][:, None]

    def region_of_tokens(self, grid: tuple[int, int], device: torch.device) -> Tensor:
        """The region, row by row, that each token of a grid is in: ``(H * W,)`` from 0 to R - 1."""
        p = self.regions_per_side
        rows, columns = (
            torch.arange(side, device=device) // ((side + p - 1) // p) for side in grid
        )
        return (rows[:, None] * p + columns).flatten()

    @torch.no_grad()
    def routes(self, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        """The regions that each region attends to, most alike first.

        Args:
            tokens: ``(B, H * W, D)``.
            grid: (H, W).

        Returns:
            Region indices ``(B, R, k)``; -1 where fewer than k regions are not empty.
        """
        affinity, routes = self._route(tokens, self.region_of_tokens(grid, tokens.device))
        return routes.masked_fill(affinity.gather(-1, routes).isneginf(), -1)

    def _route(self, tokens: Tensor, region: Tensor) -> tuple[Tensor, Tensor]:
        """Affinities of all regions ``(B, R, R)`` and the k best of each ``(B, R, k)``."""
        if self.routing == "detached":
            tokens = tokens.detach()
        # Descriptors: means over the tokens of each region, as a product with their weights.
        regions = torch.arange(self.regions_per_side**2, device=region.device)
        member = region == regions[:, None]  # (R, N)
        weights = member.to(tokens.dtype) / member.sum(dim=1, keepdim=True).clamp(min=1)
        means = weights @ tokens
        # (A linear of the mean is the mean of the linear.)
        query, key = self.query(means), self.key(means)
        affinity = query @ key.transpose(1, 2) / math.sqrt(query.shape[-1])
        affinity = affinity.masked_fill(~member.any(dim=1), -torch.inf)  # empty regions
        return affinity, affinity.topk(self.topk, dim=-1).indices
