"""CLIP's image encoder without training: a changed last block keeps patches in their place.

Source: MaskCLIP, SCLIP, ClearCLIP and NACLIP, their papers and published code.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor, nn

from zegclip.errors import InputError

from .bicubic import resize_bicubic
from .block import feed_forward, join_heads, run_block, split_heads
from .image_encoder import PromptedImageEncoder
from .loading import LoadedClip

LAST_BLOCKS = ("clip", "maskclip", "sclip", "clearclip", "naclip")


@MODELS.register_module()
class TrainingFreeImageEncoder(PromptedImageEncoder):
    """CLIP's vision tower, without prompts and with nothing to learn.

    Args:
        clip: a loaded CLIP, or the arguments of :func:`~zegclip.clip.load_clip`.
        last_block: what the last block computes, see :func:`run_last_block`.
        neighbourhood: of ``naclip``: standard deviation of the Gaussian, in patches.
        init_cfg: mmengine's.

    Example:
        >>> clip = load_clip("ViT-B-16-quickgelu", "openai")
        >>> patches, cls = TrainingFreeImageEncoder(clip, "sclip")(torch.rand(1, 3, 224, 224))
        >>> patches.shape, cls.shape
        (torch.Size([1, 512, 14, 14]), torch.Size([1, 512]))
    """

    learns = False

    def __init__(
        self,
        clip: dict[str, Any] | LoadedClip,
        last_block: str = "naclip",
        neighbourhood: float = 5.0,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        if last_block not in LAST_BLOCKS:
            raise InputError(f"last_block={last_block!r} is none of {', '.join(LAST_BLOCKS)}")
        super().__init__(clip, num_prompts=0, init_cfg=init_cfg)
        self.last_block = last_block
        self.neighbourhood = neighbourhood

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """As :class:`PromptedImageEncoder`; g is what the last block makes of the CLS token."""
        tokens, grid = self._embed(image)
        *blocks, last = self.visual.transformer.resblocks
        for block in blocks:
            tokens = run_block(block, tokens)
        tokens = run_last_block(last, tokens, grid, self.last_block, self.neighbourhood)
        embeddings = F.normalize(self._project(tokens), dim=-1)
        return embeddings[:, 1:].transpose(1, 2).unflatten(2, grid), embeddings[:, 0]

    def _resize(self, table: Tensor, grid: tuple[int, int]) -> Tensor:
        """Bicubic, by factors a little larger than the grids' quotient, as published."""
        # (Not by an if, which would export one of both ways.)
        changed = sum((new - own) ** 2 for new, own in zip(grid, table.shape[2:]))
        return resize_bicubic(table, grid, offset=torch.sym_min(0.1, changed))

    def protocol(self) -> dict[str, Any]:
        own = {"neighbourhood": self.neighbourhood} if self.last_block == "naclip" else {}
        return {"last_block": self.last_block, **own}


def run_last_block(
    block: nn.Module, tokens: Tensor, grid: tuple[int, int], last_block: str, neighbourhood: float
) -> Tensor:
    """CLIP's last block, in one of its variants that segment without training.

    With q, k, v the block's own projections, d a head's width and ω the patches' closeness:

    ============  ==============================  ==========================
    last_block    attention                       residual and feed-forward
    ============  ==============================  ==========================
    ``clip``      softmax(q kᵀ/√d)                yes
    ``maskclip``  each token attends to itself    no
    ``sclip``     softmax(q qᵀ/√d)                yes
                  + softmax(k kᵀ/√d)
    ``clearclip`` softmax(q qᵀ/√d)                no
    ``naclip``    softmax(k kᵀ/√d + ω)            no
    ============  ==============================  ==========================

    Args:
        block: open_clip's, frozen.
        tokens: CLS and patches, ``(B, 1 + N, width)``.
        grid: (h, w) of the patches, N = h w.
        last_block: one of ``LAST_BLOCKS``.
        neighbourhood: standard deviation of ω, in patches.

    Returns:
        ``(B, 1 + N, width)``.
    """
    if last_block == "clip":
        return run_block(block, tokens)
    attention = block.attn
    projected = F.linear(block.ln_1(tokens), attention.in_proj_weight, attention.in_proj_bias)
    query, key, value = (
        split_heads(each, attention.num_heads) for each in projected.chunk(3, dim=-1)
    )

    # What each token attends to.
    attend = F.scaled_dot_product_attention
    if last_block == "maskclip":
        attended = value
    elif last_block == "sclip":
        attended = attend(query, query, value) + attend(key, key, value)
    elif last_block == "clearclip":
        attended = attend(query, query, value)
    else:
        attended = attend(key, key, value, attn_mask=closeness(grid, neighbourhood).to(key))
    out = block.ls_1(attention.out_proj(join_heads(attended)))

    # The residual carries what CLIP gathered for the whole image: three variants leave it out.
    if last_block != "sclip":
        return out
    tokens = tokens + out
    return tokens + feed_forward(block, tokens)


def closeness(grid: tuple[int, int], deviation: float) -> Tensor:
    """NACLIP's ω, ``(1 + N, 1 + N)``: a Gaussian of two patches' distance, 0 for CLS."""
    rows, columns = (
        torch.exp(-((steps[:, None] - steps) ** 2) / (2 * deviation**2))
        for steps in (torch.arange(side, dtype=torch.float32) for side in grid)
    )
    # Their Kronecker product. (torch.kron is exported for one grid.)
    both = (rows[:, None, :, None] * columns[:, None]).flatten(2).flatten(0, 1)
    return F.pad(both, (1, 0, 1, 0))
