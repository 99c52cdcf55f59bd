"""The image encoder: a frozen CLIP vision tower with deep prompts."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from zegclip.errors import InputError

from .block import run_block
from .loading import LoadedClip, load_clip


@MODELS.register_module()
class PromptedImageEncoder(BaseModule):
    """CLIP's vision tower, frozen, with new learnable prompts before every block (VPT-deep).

    Source: VPT, Sec. 3.2 (deep prompts); ZegCLIP, Sec. 3.2; the prompts' projection, dropout and
    initial values, and the norm after the last block: published code. That the projection's bias
    starts at zero is ours: there it keeps ``nn.Linear``'s uniform start.

    Args:
        clip: a loaded CLIP, or the arguments of :func:`~zegclip.clip.load_clip`.
        num_prompts: n, prompts per block; 0 gives CLIP's own dense features.
        prompt_depth: how many blocks get prompts of their own; ``None``: all. Later blocks keep the
            last prompts as ordinary tokens (VPT). ZegCLIP's code drops them; its configs prompt
            every block.
        prompt_dropout: rate after the prompts' projection.
        class_embedding_twice: add the class embedding to the CLS token twice, as the published
            code does. Its checkpoints need it; CLIP itself adds it once.
        patch_level: after how many blocks the patch embeddings are taken; ``None``: all. Those of
            an earlier block go through CLIP's last norm and projection alone, without the prompts'
            norm, which is learned on the last block's output. The CLS embedding is always the last
            block's.
        checkpoint_activations: compute the blocks' activations again in the backward pass instead
            of keeping them: a third more time, a tenth of the memory.
        compile_blocks: ``torch.compile`` of one block, which all of them then use.
        init_cfg: mmengine's.

    Attributes:
        embed_dims: D, the joint dimension.
        patch_size: pixels.
        learns: whether there are prompts; they and their norm are learned.

    Example:
        >>> clip = load_clip("ViT-B-16-quickgelu", "openai")
        >>> patches, cls = PromptedImageEncoder(clip)(torch.rand(1, 3, 512, 512))
        >>> patches.shape, cls.shape
        (torch.Size([1, 512, 32, 32]), torch.Size([1, 512]))
    """

    def __init__(
        self,
        clip: dict[str, Any] | LoadedClip,
        num_prompts: int = 10,
        prompt_depth: int | None = None,
        prompt_dropout: float = 0.1,
        class_embedding_twice: bool = False,
        patch_level: int | None = None,
        checkpoint_activations: bool = False,
        compile_blocks: bool = False,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if not isinstance(clip, LoadedClip):
            clip = load_clip(**clip)
        self.visual = clip.model.visual
        depth = len(self.visual.transformer.resblocks)
        self.num_prompts = num_prompts
        self.prompt_depth = depth if prompt_depth is None else prompt_depth
        self.patch_level = depth if patch_level is None else patch_level
        if num_prompts < 0:
            raise InputError(f"num_prompts={num_prompts} must not be negative")
        for name in ("prompt_depth", "patch_level"):
            if not 1 <= getattr(self, name) <= depth:
                raise InputError(
                    f"{name}={getattr(self, name)} must be between 1 and the image tower's "
                    f"{depth} blocks"
                )
        self.class_embedding_twice = class_embedding_twice
        self.checkpoint_activations = checkpoint_activations
        self._run_block = torch.compile(run_block) if compile_blocks else run_block
        width, self.embed_dims = self.visual.proj.shape
        self.patch_size = self.visual.patch_size[0]
        if num_prompts:
            self._add_prompts(width, prompt_dropout)

    def _add_prompts(self, width: int, dropout: float) -> None:
        bound = math.sqrt(6 / (3 * self.patch_size**2 + width))
        self.prompts = nn.Parameter(torch.empty(1, self.num_prompts, width))
        self.deep_prompts = nn.Parameter(
            torch.empty(self.prompt_depth - 1, self.num_prompts, width)
        )
        for prompts in (self.prompts, self.deep_prompts):
            nn.init.uniform_(prompts, -bound, bound)
        self.prompt_projection = nn.Linear(width, width)
        nn.init.kaiming_normal_(self.prompt_projection.weight, a=0, mode="fan_out")
        nn.init.zeros_(self.prompt_projection.bias)  # (ours, see the class)
        self.prompt_dropout = nn.Dropout(dropout)
        self.prompt_norm = nn.LayerNorm(width, eps=1e-6)

    @property
    def learns(self) -> bool:
        """Whether there are prompts."""
        return self.num_prompts > 0

    def protocol(self) -> dict[str, Any]:
        """Settings that a reported number depends on and that no checkpoint holds."""
        depth = len(self.visual.transformer.resblocks)
        return {"patch_level": self.patch_level} if self.patch_level != depth else {}

    def fixed_settings(self) -> dict[str, bool]:
        """Settings that change what the same weights compute, and that no tensor's shape shows."""
        return {"image_encoder.class_embedding_twice=True": self.class_embedding_twice}

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Encode images.

        Args:
            image: ``(B, 3, H, W)``, normalised; sides are multiples of the patch size.

        Returns:
            Patch embeddings V ``(B, D, H/patch, W/patch)`` and CLS embedding g ``(B, D)``, the
            latter as the tower itself pools (the CLS token, or the mean over the patches); both
            of unit length over D.

        Raises:
            InputError: a side is no multiple of the patch size.
        """
        tokens, grid = self._embed(image)
        num_patches = grid[0] * grid[1]

        # All blocks, each with prompts of its own. Their outputs are dropped; CLS and patches go
        # into the joint space.
        at_level, last = self._run_blocks(tokens)
        last = last[:, : 1 + num_patches]
        if self.num_prompts:
            last = self.prompt_norm(last)
        embeddings = self._project(last)
        patches = embeddings[:, 1:]

        # g, as the tower pools.
        if self.visual.pool_type == "tok":
            pooled = embeddings[:, 0]
        elif self.visual.final_ln_after_pool:
            pooled = self._project(last[:, 1:].mean(dim=1))
        else:
            pooled = patches.mean(dim=1)

        # V, from an earlier block if the config says so.
        if self.patch_level < len(self.visual.transformer.resblocks):
            patches = self._project(at_level[:, 1 : 1 + num_patches])
        patches = F.normalize(patches, dim=-1).transpose(1, 2).unflatten(2, grid)
        return patches, F.normalize(pooled, dim=-1)

    def _embed(self, image: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """CLS and patch tokens ``(B, 1 + N, width)`` before the first block, and their grid."""
        height, width = image.shape[-2:]
        if height % self.patch_size or width % self.patch_size:
            raise InputError(
                f"an image of {height}x{width} pixels is not made of whole patches: both sides "
                f"must be multiples of {self.patch_size} (crop_size, model.data_preprocessor.size)"
            )
        patches = self.visual.conv1(image)
        grid = (patches.shape[-2], patches.shape[-1])
        patches = patches.flatten(2).transpose(1, 2)
        cls = self.visual.class_embedding
        cls = (2 * cls if self.class_embedding_twice else cls).to(patches.dtype)
        tokens = torch.cat([cls.expand(image.shape[0], 1, -1), patches], dim=1)
        return self.visual.ln_pre(tokens + self.position_embedding(grid).to(tokens.dtype)), grid

    def position_embedding(self, grid: tuple[int, int]) -> Tensor:
        """``(1 + N, width)``: CLIP's own for CLS, and its table resized to the grid."""
        own = self.visual.positional_embedding
        table = own[1:].T.unflatten(1, self.visual.grid_size)[None].float()
        return torch.cat([own[:1].float(), self._resize(table, grid)[0].flatten(1).T])

    def _resize(self, table: Tensor, grid: tuple[int, int]) -> Tensor:
        """CLIP's positions ``(1, width, h, w)`` on another grid."""
        return F.interpolate(table, size=grid, mode="bilinear", align_corners=False)

    def _run_blocks(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens after ``patch_level`` blocks, and after all of them."""
        at_level, depth = tokens, len(self.visual.transformer.resblocks)
        if self.num_prompts:  # one projection for the prompts of all blocks
            prompts = self.prompt_projection(torch.cat([self.prompts, self.deep_prompts]))
        for index, block in enumerate(self.visual.transformer.resblocks):
            fresh = None
            if self.num_prompts and index < self.prompt_depth:
                # This block's prompts take the place of what the last block made of its own.
                fresh = prompts[index][None]
                if self.training and self.prompt_dropout.p:
                    fresh = self.prompt_dropout(fresh.expand(tokens.shape[0], -1, -1))
                fresh = fresh.to(tokens.dtype)
                if index + 1 == self.prompt_depth < depth:  # these stay until the last block
                    fresh = fresh.expand(tokens.shape[0], -1, -1)
                    tokens, fresh = torch.cat([tokens, fresh], dim=1), None
            if self.checkpoint_activations and torch.is_grad_enabled():
                # (A frozen block draws no random numbers.)
                same = dict(use_reentrant=False, preserve_rng_state=False)
                tokens = checkpoint(self._run_block, block, tokens, fresh, **same)
            else:
                tokens = self._run_block(block, tokens, fresh)
            if index + 1 == self.patch_level:
                at_level = tokens
        return at_level, tokens

    def _project(self, tokens: Tensor) -> Tensor:
        """CLIP's last norm and projection: ``(..., width)`` -> ``(..., D)``."""
        return self.visual.ln_post(tokens) @ self.visual.proj
