"""The plain way to compute the same: what ours is measured against.

Written from what the papers say and the published code is known to compute, as directly as that
can be said: sequence-first attention over all tokens, prompts among them; maps of all classes at
the image's size, dense targets; class embeddings read from disk in every step; windows one by one.
Functions of our modules' own weights, so that results and gradients are equal and can be tested.
"""

from __future__ import annotations

import math
from pathlib import Path

import torch
import torch.nn.functional as F
from open_clip.transformer import QuickGELU
from torch import Tensor, nn

from ldvc import PromptedTextEncoder, RouteAttention
from tagclip import TrustyHead
from zegclip.clip import PromptedImageEncoder
from zegclip.heads import ATMDecoder, HeadOutput, ZeroShotHead
from zegclip.losses import MaskLoss
from zegclip.segmentors import ZeroShotSegmentor

# --- encoders ----------------------------------------------------------------------------------


def run_block(block: nn.Module, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
    """A block of CLIP on sequence-first tokens ``(N, B, width)``."""
    tokens = tokens + self_attention(block.attn, block.ln_1(tokens), mask)
    hidden = block.mlp.c_fc(block.ln_2(tokens))
    if isinstance(block.mlp.gelu, QuickGELU):
        hidden = hidden * torch.sigmoid(1.702 * hidden)
    else:
        hidden = block.mlp.gelu(hidden)
    return tokens + block.mlp.c_proj(hidden)


def self_attention(
    attention: nn.MultiheadAttention, tokens: Tensor, mask: Tensor | None = None
) -> Tensor:
    """What ``nn.MultiheadAttention(batch_first=False)`` computes: ``(N, B, D)`` -> the same."""
    return F.multi_head_attention_forward(
        tokens,
        tokens,
        tokens,
        attention.embed_dim,
        attention.num_heads,
        attention.in_proj_weight,
        attention.in_proj_bias,
        None,
        None,
        False,
        attention.dropout,
        attention.out_proj.weight,
        attention.out_proj.bias,
        training=attention.training,
        need_weights=False,
        attn_mask=mask,
    )[0]


def encode_image(encoder: PromptedImageEncoder, image: Tensor) -> tuple[Tensor, Tensor]:
    """``(B, 3, H, W)`` -> V ``(B, D, h, w)`` and g ``(B, D)``; prompts in front of all blocks."""
    visual, batch = encoder.visual, len(image)
    patches = visual.conv1(image)
    grid = (patches.shape[-2], patches.shape[-1])
    patches = patches.flatten(2).transpose(1, 2)
    cls = visual.class_embedding.to(patches.dtype).expand(batch, 1, -1)
    tokens = torch.cat([cls, patches], dim=1) + encoder.position_embedding(grid)
    tokens = visual.ln_pre(tokens).transpose(0, 1)
    count = grid[0] * grid[1]
    all_prompts = torch.cat([encoder.prompts, encoder.deep_prompts])
    for index, block in enumerate(visual.transformer.resblocks):
        prompts = encoder.prompt_projection(all_prompts[index])[:, None].expand(-1, batch, -1)
        prompts = encoder.prompt_dropout(prompts).to(tokens.dtype)
        tokens = run_block(block, torch.cat([tokens[:1], prompts, tokens[-count:]]))
    tokens = encoder.prompt_norm(tokens.transpose(0, 1))
    embeddings = F.normalize(visual.ln_post(tokens) @ visual.proj, dim=-1)
    return embeddings[:, -count:].transpose(1, 2).unflatten(2, grid), embeddings[:, 0]


def encode_text(encoder: PromptedTextEncoder, words: list[str]) -> Tensor:
    """LDVC's class embeddings ``(C, D)``: every text at full length through the whole tower."""
    tower, count = encoder.tower, encoder.num_prompts
    assert tower.attn_mask is not None  # causal, as CLIP's
    tokens = encoder.tokenize(words).to(tower.positional_embedding.device)
    hidden = (tower.token_embedding(tokens) + tower.positional_embedding).transpose(0, 1)
    for prompts, block in zip(encoder.language_prompts, tower.transformer.resblocks, strict=True):
        prompts = prompts[:, None].expand(-1, len(tokens), -1).to(hidden.dtype)
        hidden = torch.cat([hidden[:1], prompts, hidden[1 + count :]])
        hidden = run_block(block, hidden, tower.attn_mask.to(hidden.dtype))
    return tower.project(hidden.transpose(0, 1), tokens)


# --- heads -------------------------------------------------------------------------------------


def decode(head: ZeroShotHead, V: Tensor, g: Tensor, T: Tensor) -> HeadOutput:
    """A head's maps at the patch grid's size. (LDVC's head has no published rival: it is ours.)"""
    if isinstance(head, TrustyHead):
        learner = head.trusty_learner
        T = torch.cat([T, head.trusty_token])
        described = _describe(learner.relationship_descriptor.projection, g, T)
        attended = self_attention(learner.self_attention, described.transpose(0, 1))
        queries = learner.norm(described + learner.dropout(attended.transpose(0, 1)))
        maps = _decode_masks(head.decoder, queries, V)
        return HeadOutput(maps[:, :-1], {"trusty_map": maps[:, -1:]})
    if isinstance(getattr(head, "decoder", None), ATMDecoder):
        queries = _describe(head.relationship_descriptor.projection, g, T)
        return HeadOutput(_decode_masks(head.decoder, queries, V))
    return head(V, g, T)


def _describe(projection: nn.Linear, g: Tensor, T: Tensor) -> Tensor:
    matched = T[None] * g[:, None]
    return projection(torch.cat([matched, T.expand_as(matched)], dim=-1))


def _decode_masks(decoder: ATMDecoder, queries: Tensor, V: Tensor) -> Tensor:
    patches = V.flatten(2).transpose(1, 2)
    for layer in decoder.layers:
        own = layer.cross_attention
        logits = _attention_logits(own, queries, patches)
        value = own.value(patches).unflatten(-1, (own.num_heads, -1)).transpose(1, 2)
        attended = (logits.softmax(dim=-1) @ value).transpose(1, 2).flatten(2)
        queries = layer.attention_norm(queries + layer.dropout(own.output(attended)))
        hidden = layer.dropout(F.relu(layer.feedforward_in(queries)))
        queries = layer.feedforward_norm(queries + layer.dropout(layer.feedforward_out(hidden)))
    masks = _attention_logits(decoder.mask_attention, queries, patches).mean(dim=1)
    return masks.unflatten(-1, V.shape[-2:])


def _attention_logits(attention: nn.Module, queries: Tensor, patches: Tensor) -> Tensor:
    query, key = (
        each.unflatten(-1, (attention.num_heads, -1)).transpose(1, 2)
        for each in (attention.query(queries), attention.key(patches))
    )
    return query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])


def route_attention(attention: RouteAttention, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
    """BiFormer's way: keys and values of the routed regions are gathered, then attended to.

    Args:
        attention: its weights.
        tokens: ``(B, H * W, D)``.
        grid: (H, W), multiples of p.
    """
    p, heads = attention.regions_per_side, attention.num_heads
    height, width = grid[0] // p, grid[1] // p
    batch, _, channels = tokens.shape

    def regions(each: Tensor) -> Tensor:  # (B, R, n, D)
        each = each.view(batch, p, height, p, width, channels).transpose(2, 3)
        return each.reshape(batch, p * p, height * width, channels)

    query, key, value = (
        regions(each(tokens)) for each in (attention.query, attention.key, attention.value)
    )
    with torch.no_grad():
        affinity = query.mean(dim=2) @ key.mean(dim=2).transpose(1, 2)
        routes = affinity.topk(attention.topk, dim=-1).indices  # (B, R, k)
    rows = torch.arange(batch, device=tokens.device)[:, None, None]
    key, value = (each[rows, routes].flatten(2, 3) for each in (key, value))  # (B, R, k n, D)
    query, key, value = (
        each.unflatten(-1, (heads, -1)).transpose(2, 3) for each in (query, key, value)
    )
    logits = query @ key.transpose(-2, -1) / math.sqrt(channels // heads)
    attended = (logits.softmax(dim=-1) @ value).transpose(2, 3).flatten(3)
    attended = attended.view(batch, p, p, height, width, channels).transpose(2, 3)
    return attention.output(attended.reshape(batch, grid[0] * grid[1], channels))


# --- loss --------------------------------------------------------------------------------------


def mask_loss(loss: MaskLoss, logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Focal and dice loss with the maps of all classes, and their targets, at the labels' size."""
    classes = torch.arange(logits.shape[1], device=labels.device)
    target = (labels[:, None] == classes[:, None, None]).float()  # (B, C, H, W)
    logits = _upsample(logits, labels)
    present = target.flatten(2).any(dim=2)
    pairs = present.sum().clamp(min=1)
    focal = _focal(logits, target).sum() / pairs
    p, g = logits.sigmoid()[present].flatten(1), target[present].flatten(1)
    dice = 1 - (2 * (p * g).sum(1) + 1) / (p.sum(1) + g.sum(1) + 1)
    return {
        "loss_mask": loss.focal_weight * focal,
        "loss_dice": loss.dice_weight * dice.sum() / pairs,
    }


def _focal(logits: Tensor, target: Tensor) -> Tensor:
    """Per map, the mean over its pixels of ``alpha_t (1 - p_t)^2 (-log p_t)``."""
    p = logits.sigmoid()
    cost = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    p_t = p * target + (1 - p) * (1 - target)
    weight = 0.25 * target + 0.75 * (1 - target)
    return (weight * (1 - p_t) ** 2 * cost).mean(dim=(-2, -1))


def _upsample(logits: Tensor, labels: Tensor) -> Tensor:
    size = tuple(labels.shape[-2:])
    return F.interpolate(logits.float(), size=size, mode="bilinear", align_corners=False)


def head_losses(head: ZeroShotHead, output: HeadOutput, labels: Tensor) -> dict[str, Tensor]:
    """All losses of a method; TagCLIP's trusty map is supervised with the seen pixels."""
    losses = mask_loss(head.mask_loss, output.mask_logits, labels)
    if isinstance(head, TrustyHead):
        classes = output.mask_logits.shape[1]
        known = torch.where(labels < classes, labels, classes)
        pairs = F.one_hot(known, classes + 1)[..., :classes].flatten(1, 2).any(dim=1).sum()
        trusty = _upsample(output.extra_maps["trusty_map"], labels)
        focal = _focal(trusty, (labels < classes).float()[:, None]).sum()
        losses["loss_trusty"] = head.trusty_loss_weight * focal / pairs.clamp(min=1)
    return losses


# --- model -------------------------------------------------------------------------------------


def class_embeddings(model: ZeroShotSegmentor, file: Path) -> Tensor:
    """T ``(C, D)``: read from disk; a learning text encoder's are computed."""
    if model.text_encoder.learns and torch.is_grad_enabled():
        return encode_text(model.text_encoder, list(model.vocabulary.classes))
    return torch.load(file, map_location=model.clip_fingerprint.device)


@torch.no_grad()
def predict(
    model: ZeroShotSegmentor, image: Tensor, size: tuple[int, int], embeddings: Path
) -> Tensor:
    """Labels ``(H0, W0)`` of one image ``(1, 3, H, W)`` at the size ``(H0, W0)``, by windows."""
    height, width = image.shape[-2:]
    crop, stride = model.test_cfg["crop_size"], model.test_cfg["stride"]
    rows = max(height - crop[0] + stride[0] - 1, 0) // stride[0] + 1
    columns = max(width - crop[1] + stride[1] - 1, 0) // stride[1] + 1
    total = image.new_zeros(1, len(model.vocabulary.classes), height, width)
    count = image.new_zeros(1, 1, height, width)
    for row in range(rows):
        for column in range(columns):
            bottom = min(row * stride[0] + crop[0], height)
            right = min(column * stride[1] + crop[1], width)
            top, left = max(bottom - crop[0], 0), max(right - crop[1], 0)
            window = image[..., top:bottom, left:right]
            V, g = encode_image(model.image_encoder, window)
            output = decode(model.decode_head, V, g, class_embeddings(model, embeddings))
            probabilities = _calibrated(model, output, window)
            total += F.pad(probabilities, (left, width - right, top, height - bottom))
            count[..., top:bottom, left:right] += 1
    total = F.interpolate(total / count, size=size, mode="bilinear", align_corners=False)
    return total.argmax(dim=1)[0]


def _calibrated(model: ZeroShotSegmentor, output: HeadOutput, window: Tensor) -> Tensor:
    seen = torch.zeros(len(model.vocabulary.classes), dtype=torch.bool, device=window.device)
    seen[list(model.vocabulary.seen_ids)] = True
    probabilities = _upsample(output.mask_logits, window).sigmoid()
    probabilities[:, seen] -= model.decode_head.gamma
    if "trusty_map" in output.extra_maps:
        trust = _upsample(output.extra_maps["trusty_map"], window).sigmoid()
        probabilities[:, seen] *= trust
        probabilities[:, ~seen] *= 1 - trust
    return probabilities
