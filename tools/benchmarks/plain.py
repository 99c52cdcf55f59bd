"""The plain way to compute the same: what ours is measured against.

Written from what the papers say and the published code is known to compute, as directly as that
can be said: sequence-first attention over all tokens, prompts among them; maps of all classes at
the image's size, dense targets; class embeddings read from disk in every step; windows one by one.
Functions of our modules' own weights, so that results and gradients are equal and can be tested.
"""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import torch
import torch.nn.functional as F
from mmengine.config import ConfigDict
from mmseg.models.segmentors import EncoderDecoder
from torch import Tensor, nn
from torchvision.ops import sigmoid_focal_loss

from zegclip.heads import ATMDecoder, HeadOutput, upsample
from zegclip.heads.layers import AttentionLogits, CrossAttention, RelationshipDescriptor
from zegclip.segmentors import ZeroShotSegmentor


def run_block(block: nn.Module, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
    """A block of CLIP on sequence-first tokens ``(N, B, width)``."""
    block.attn.batch_first = False  # (ours does not look at it)
    return block(tokens.contiguous(), attn_mask=mask)


def encode_image(encoder: Any, image: Tensor) -> tuple[Tensor, Tensor]:
    """``(B, 3, H, W)`` -> V ``(B, D, h, w)`` and g ``(B, D)``; prompts in front of all blocks."""
    tokens, grid = encoder._embed(image)
    tokens, count = tokens.transpose(0, 1), grid[0] * grid[1]
    all_prompts = torch.cat([encoder.prompts, encoder.deep_prompts])
    for prompts, block in zip(all_prompts, encoder.visual.transformer.resblocks, strict=True):
        prompts = encoder.prompt_projection(prompts)[:, None].expand(-1, len(image), -1)
        prompts = encoder.prompt_dropout(prompts).to(tokens.dtype)
        tokens = run_block(block, torch.cat([tokens[:1], prompts, tokens[-count:]]))
    tokens = encoder.prompt_norm(tokens.transpose(0, 1))
    embeddings = F.normalize(encoder._project(tokens), dim=-1)
    return embeddings[:, -count:].transpose(1, 2).unflatten(2, grid), embeddings[:, 0]


def encode_text(encoder: Any, words: list[str]) -> Tensor:
    """LDVC's class embeddings ``(C, D)``: every text at full length through the whole tower."""
    tower, count = encoder.tower, encoder.num_prompts
    tokens = encoder.tokenize(words).to(tower.positional_embedding.device)
    hidden = (tower.token_embedding(tokens) + tower.positional_embedding).transpose(0, 1)
    for prompts, block in zip(encoder.language_prompts, tower.transformer.resblocks, strict=True):
        prompts = prompts[:, None].expand(-1, len(tokens), -1).to(hidden.dtype)
        joined = torch.cat([hidden[:1], prompts, hidden[1 + count :]])
        hidden = run_block(block, joined, tower.attn_mask)
    return tower.project(hidden.transpose(0, 1), tokens)


def class_embeddings(model: ZeroShotSegmentor, file: Path) -> Tensor:
    """T ``(C, D)``: read from disk; a learning text encoder's are computed."""
    if model.text_encoder.learns and torch.is_grad_enabled():
        return encode_text(model.text_encoder, list(model.vocabulary.classes))
    return torch.load(file, map_location=model.clip_fingerprint.device)


def decode(head: Any, V: Tensor, g: Tensor, T: Tensor) -> HeadOutput:
    """A head's maps, its layers put together from plain ones. (LDVC's has no published rival.)"""
    if not isinstance(getattr(head, "decoder", None), ATMDecoder):
        return head(V, g, T)
    with (
        patch.object(RelationshipDescriptor, "forward", _describe),
        patch.object(AttentionLogits, "forward", lambda *args: _logits(*args).mean(dim=1)),
        patch.object(CrossAttention, "forward", _attend),
    ):
        return head(V, g, T)


def _describe(self: RelationshipDescriptor, matched: Tensor, T: Tensor) -> Tensor:
    return self.projection(torch.cat([matched, T.expand_as(matched)], dim=-1))


def _attend(self: CrossAttention, queries: Tensor, context: Tensor) -> Tensor:
    value = self.value(context).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
    attended = _logits(self, queries, context).softmax(dim=-1) @ value
    return self.output(attended.transpose(1, 2).flatten(2))


def _logits(self: AttentionLogits | CrossAttention, queries: Tensor, context: Tensor) -> Tensor:
    query, key = (
        each.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
        for each in (self.query(queries), self.key(context))
    )
    return query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])


def losses(head: Any, output: HeadOutput, labels: Tensor) -> dict[str, Tensor]:
    """A head's losses, from maps and targets at the labels' size."""
    with patch("zegclip.losses.mask_loss.focal_dice_loss", focal_dice_loss):
        return head.losses(output, labels)


def focal_dice_loss(
    logits: Tensor, labels: Tensor, present: Tensor | None = None, valid: None = None
) -> tuple[Tensor, Tensor]:
    """Both losses ``(B, C)`` of logits ``(B, C, h, w)``; ours says more."""
    if present is None:
        present = torch.ones(logits.shape[:2], dtype=torch.bool, device=logits.device)
    classes = torch.arange(logits.shape[1], device=labels.device)
    target = (labels[:, None] == classes[:, None, None]).float()  # (B, C, H, W)
    logits = upsample(logits, labels.shape[-2:])
    p, g = logits.sigmoid()[present].flatten(1), target[present].flatten(1)
    share = (2 * (p * g).sum(1) + 1) / (p.sum(1) + g.sum(1) + 1)
    dice = torch.zeros_like(present, dtype=share.dtype).masked_scatter(present, 1 - share)
    return sigmoid_focal_loss(logits, target).mean((2, 3)), dice


@torch.no_grad()
def predict(
    model: ZeroShotSegmentor, image: Tensor, size: tuple[int, int], embeddings: Path
) -> Tensor:
    """Labels ``(H0, W0)`` of one image ``(1, 3, H, W)`` at the size ``(H0, W0)``, by windows."""
    count = len(model.vocabulary.classes)
    seen = torch.zeros(count, dtype=torch.bool, device=image.device)
    seen[list(model.vocabulary.seen_ids)] = True

    def encode_decode(window: Tensor, _: object) -> Tensor:
        V, g = encode_image(model.image_encoder, window)
        output = decode(model.decode_head, V, g, class_embeddings(model, embeddings))
        probabilities = upsample(output.mask_logits, window.shape[-2:]).sigmoid()
        probabilities[:, seen] -= model.decode_head.gamma
        if "trusty_map" in output.extra_maps:
            trust = upsample(output.extra_maps["trusty_map"], window.shape[-2:]).sigmoid()
            probabilities[:, seen] *= trust
            probabilities[:, ~seen] *= 1 - trust
        return probabilities

    test_cfg = ConfigDict(model.test_cfg)
    slider = SimpleNamespace(test_cfg=test_cfg, out_channels=count, encode_decode=encode_decode)
    probabilities = EncoderDecoder.slide_inference(slider, image, [{}])
    probabilities = F.interpolate(probabilities, size=size, mode="bilinear", align_corners=False)
    return probabilities.argmax(dim=1)[0]
