"""The tiny CLIP in training: bfloat16 tower, CLIP's loss and the patch loss."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from open_clip.model import CLIP
from safetensors.torch import load_file
from torch import Tensor, nn

MEAN = (123.675, 116.28, 103.53)  # RGB, of ImageNet, as the data preprocessor of the configs
STD = (58.395, 57.12, 57.375)


def embed_tokens(
    visual: nn.Module,
    images: Tensor,
    positions: Tensor | None = None,
    kept: Tensor | None = None,
) -> Tensor:
    """What open_clip's tower computes, for CLS and every patch: their projected embeddings.

    Attention is written out: on the CPU torch's fused one is several times slower backwards in
    bfloat16 at such sizes.

    Args:
        images: (B, 3, H, W), normalised.
        positions: (H/p * W/p,) places of the patches in the grid of position embeddings;
            default: the images fill it.
        kept: (B, K) patches that the tower sees; default: all of them.

    Returns:
        (B, 1 + H/p * W/p, D), or (B, 1 + K, D), not normalised.
    """
    patch = visual.patch_size[0]
    batch, _, height, width = images.shape
    rows, columns = height // patch, width // patch
    x = images.view(batch, 3, rows, patch, columns, patch).permute(0, 2, 4, 1, 3, 5)
    x = F.linear(x.reshape(batch, rows * columns, -1), visual.conv1.weight.flatten(1))
    places = visual.positional_embedding[1:]
    x = x + (places if positions is None else places.index_select(0, positions))
    if kept is not None:
        x = x.gather(1, kept[..., None].expand(-1, -1, x.shape[2]))
    cls = visual.class_embedding + visual.positional_embedding[0]
    x = visual.ln_pre(torch.cat([cls.expand(batch, 1, -1), x], dim=1))
    for block in visual.transformer.resblocks:
        heads = block.attn.num_heads
        tokens, channels = x.shape[1:]
        qkv = F.linear(block.ln_1(x), block.attn.in_proj_weight, block.attn.in_proj_bias)
        qkv = qkv.view(batch, tokens, 3, heads, -1).permute(2, 0, 3, 1, 4)
        query, key, value = qkv.reshape(3, batch * heads, tokens, -1)
        scale = (channels // heads) ** -0.5
        weights = torch.bmm(query * scale, key.transpose(1, 2)).softmax(-1)
        mixed = torch.bmm(weights, value).view(batch, heads, tokens, -1)
        x = x + block.attn.out_proj(mixed.transpose(1, 2).reshape(batch, tokens, channels))
        x = x + block.mlp(block.ln_2(x))
    return visual.ln_post(x) @ visual.proj


def pooled(visual: nn.Module, tokens: Tensor) -> Tensor:
    """(B, D) unit rows, as the tower pools :func:`embed_tokens`' (B, 1 + P, D): CLS or average."""
    image = tokens[:, 0] if visual.pool_type == "tok" else tokens[:, 1:].mean(1)
    return F.normalize(image.float(), dim=-1)


def embed_texts(clip: CLIP, tokens: Tensor) -> Tensor:
    """(M, L) tokens, the largest the end -> (M, D) unit rows: open_clip's ``encode_text``.

    Without open_clip's indexing, whose backward cannot be captured as a CUDA graph.
    """
    weight = clip.token_embedding.weight
    x = weight.index_select(0, tokens.flatten()).view(*tokens.shape, -1) + clip.positional_embedding
    x = clip.ln_final(clip.transformer(x, attn_mask=clip.attn_mask))
    end = (tokens == len(weight) - 1).float()[..., None]
    return F.normalize((x * end).sum(1) @ clip.text_projection, dim=-1)


def pictures(images: np.ndarray | Tensor, device: torch.device) -> Tensor:
    """(B, H, W, 3) uint8 -> (B, 3, H, W) float32 in 0..255."""
    return torch.as_tensor(images).to(device).permute(0, 3, 1, 2).float()


def normalise(images: Tensor) -> Tensor:
    """(B, 3, H, W) in 0..255 -> bfloat16 of ImageNet's mean and deviation."""
    mean, std = (images.new_tensor(values)[:, None, None] for values in (MEAN, STD))
    return ((images - mean) / std).bfloat16().contiguous()


def both_ways(logits: Tensor, right: Tensor, valid: Tensor) -> Tensor:
    """CLIP's loss with several right answers: (B, M) logits and bool, (M,) bool which count."""
    target, logits = right.float(), logits.masked_fill(~valid, -1e4)
    rows = -(F.log_softmax(logits, 1) * target).sum(1) / target.sum(1)
    columns = -(F.log_softmax(logits, 0) * target).sum(0) / target.sum(0).clamp(min=1)
    return (rows.mean() + columns.sum() / valid.sum()) / 2


class TinyClip(nn.Module):
    """open_clip's CLIP in training: vocabulary cut to the captions' tokens, tower in bfloat16.

    Args:
        config: open_clip's.
        texts: ``(M, L)`` tokens, with all that captions can hold.
    """

    def __init__(self, config: dict, texts: Tensor):
        super().__init__()
        self.clip = CLIP(**config)
        # Ascending ids, so that the end token stays the largest: open_clip pools at the argmax.
        self.used = texts.unique()
        self.full_embedding = self.clip.token_embedding.weight.detach().clone()
        self.clip.token_embedding = nn.Embedding.from_pretrained(
            self.full_embedding[self.used].clone(), freeze=False
        )
        self.fast = CLIP(**config).visual.bfloat16()
        # Temperature and offset of the patch loss: from few positives, as in SigLIP.
        self.patch_scale = nn.Parameter(torch.tensor(math.log(10.0)))
        self.patch_bias = nn.Parameter(torch.tensor(-5.0))

    def texts(self, tokens: Tensor) -> Tensor:
        """(M, L) tokens, on the CPU -> (M, D) unit rows."""
        return embed_texts(self.clip, self.known(tokens).to(self.clip.logit_scale.device))

    def known(self, tokens: Tensor) -> Tensor:
        """Tokens, on the CPU, as places in the vocabulary that was kept."""
        return torch.searchsorted(self.used, tokens)

    @torch.no_grad()
    def to_fast(self) -> None:
        fast = list(self.fast.parameters())
        torch._foreach_copy_(fast, list(self.clip.visual.parameters()))
        for parameter in fast:
            parameter.grad = None

    @torch.no_grad()
    def from_fast(self) -> None:
        for fast, master in zip(self.fast.parameters(), self.clip.visual.parameters()):
            if fast.grad is not None:
                master.grad = fast.grad.float()

    def loss(
        self,
        images: Tensor,
        tokens: Tensor,
        right: Tensor,
        valid: Tensor,
        positions: Tensor,
        patch_weight: float,
        kept: Tensor | None = None,
    ) -> Tensor:
        """(2,): CLIP's loss, and the patch loss times ``patch_weight``.

        Args:
            images: (B, 3, S, S) in bfloat16, normalised.
            tokens: the batch's, :meth:`known`; ``right`` and ``valid`` as in
                :class:`~.captions.Batch`.
            positions: see :func:`embed_tokens`, as ``kept``.
        """
        x = embed_tokens(self.fast, images, positions, kept)
        texts = embed_texts(self.clip, tokens)
        scale = self.clip.logit_scale.exp().clamp(max=100)
        clip = both_ways(scale * pooled(self.fast, x) @ texts.T, right, valid)
        # The patch loss is about names, which come first.
        names = len(texts) - len(images)
        patches = F.normalize(x[:, 1:], dim=-1)
        similar = (patches @ texts[:names].T.bfloat16()).float()  # (B, P, N)
        best = ((similar.detach() * 12).softmax(1) * similar).sum(1)
        logits = best * self.patch_scale.exp() + self.patch_bias
        shows = right[:, :names].float()
        each = F.binary_cross_entropy_with_logits(logits, shows, reduction="none")
        patch = (each * valid[:names]).sum() / shows.sum()
        return torch.stack([clip, patch * patch_weight])

    def load_exported(self, path: Path) -> None:
        """Take the weights of an earlier run."""
        state = load_file(path)
        self.full_embedding = state["token_embedding.weight"].float()
        state["token_embedding.weight"] = self.full_embedding[self.used]
        self.clip.load_state_dict(state)
        self.to_fast()

    def export(self) -> dict[str, Tensor]:
        """open_clip's state dict, half precision."""
        state = dict(self.clip.state_dict())
        embedding = self.full_embedding.clone()
        embedding[self.used] = state["token_embedding.weight"].cpu()
        state["token_embedding.weight"] = embedding
        return {key: value.half().cpu().contiguous() for key, value in state.items()}
