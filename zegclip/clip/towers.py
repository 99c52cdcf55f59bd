"""CLIP towers from open_clip, with weights from a tag or a local file."""

from __future__ import annotations

import difflib
import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import open_clip
import torch
from torch import nn

from zegclip.errors import InputError
from zegclip.files import find_path

from .architecture import ClipArchitecture, find_architecture
from .weights import activation_message, read_weights, tag_file, tag_problem


@dataclass
class LoadedClip:
    """A frozen CLIP and where it came from.

    Attributes:
        model: open_clip's, evaluation mode, float32, without gradients.
        tokenizer: from texts to token ids ``(N, context length)``.
        model_name: as it was asked for.
        weights: as they were asked for.
        fingerprint: 64 hexadecimal digits, the same for the same weights in any file format.
    """

    model: nn.Module
    tokenizer: Any
    model_name: str
    weights: str
    fingerprint: str


def load_clip(model_name: str, weights: str) -> LoadedClip:
    """Build a CLIP and load its weights.

    Args:
        model_name: an open_clip ViT (``"ViT-B-16-quickgelu"`` for OpenAI's weights) or the path
            of an open_clip JSON config.
        weights: the path of a file (OpenAI's TorchScript archive, safetensors, a plain state
            dict), an open_clip tag (``"openai"``; downloaded if it is not cached), or
            ``"random"`` / ``"random:SEED"`` for tests and counting.

    Raises:
        InputError: unknown or unfit model, missing or unfit weights; the message names
            the culprit and the mend.
    """
    architecture = find_architecture(model_name)
    if problem := _weights_problem(architecture, weights):
        raise InputError(problem)
    kind, _, seed = weights.partition(":")
    with torch.random.fork_rng(devices=[]):  # whatever the weights, nobody's random numbers move
        # (Not torch.manual_seed, which seeds every GPU's generator as well.)
        torch.default_generator.manual_seed(int(seed or 0) if kind == "random" else 0)
        model = architecture.build()
    if kind != "random":
        file = _weights_file(weights)
        path = file if file is not None else tag_file(architecture, weights)
        # A tag's activation was checked by its entry in open_clip; a file's by its content.
        check = architecture if file is not None else replace(architecture, checked=True)
        read_weights(path, check, model)
    model.eval().requires_grad_(False).float()
    return LoadedClip(model, architecture.tokenizer(), model_name, weights, fingerprint(model))


def check_clip(model_name: str, weights: str) -> str | None:
    """What would keep :func:`load_clip` from working, found without loading anything.

    Returns:
        The message, or ``None`` if nothing is missing.
    """
    try:
        architecture = find_architecture(model_name)
    except InputError as error:
        return str(error)
    return _weights_problem(architecture, weights)


def fingerprint(model: nn.Module) -> str:
    """SHA-256 over activation, heads, and names, shapes and a strided sample of the parameters."""
    digest = hashlib.sha256()
    # Activation and heads make another function of the same weights.
    block = model.visual.transformer.resblocks[0]
    digest.update(f"{type(block.mlp.gelu).__name__} {block.attn.num_heads}".encode())
    for name, parameter in sorted(model.named_parameters()):
        values = parameter.detach().float().flatten()
        sample = values[:: max(1, len(values) // 1024)].contiguous()
        digest.update(f"{name} {tuple(parameter.shape)}".encode())
        digest.update(sample.cpu().numpy().tobytes())
    return digest.hexdigest()


def _weights_file(weights: str) -> Path | None:
    path = find_path(weights)
    return path if path.is_file() else None


def _weights_problem(architecture: ClipArchitecture, weights: str) -> str | None:
    kind, _, seed = weights.partition(":")
    if kind == "random":
        return None if not seed or seed.isdigit() else f"weights={weights!r}: the seed is no number"
    if _weights_file(weights) is not None:
        return None
    name = architecture.name
    tags = open_clip.list_pretrained_tags_by_model(name)
    if weights in tags:
        return tag_problem(architecture, weights)
    if weights in open_clip.list_pretrained_tags_by_model(architecture.twin_name):
        return activation_message(architecture, f"the weights of tag {weights!r}")
    if "/" in weights or Path(weights).suffix:
        openai = "openai" in tags
        return (
            f"CLIP weights not found: {find_path(weights)}. Put the file there"
            + (
                f" (for {name}: OpenAI's {_openai_file(name)})"
                if openai
                else " (safetensors, or a plain state dict)"
            )
            + (
                f", or set model.clip.weights to a tag that open_clip downloads: {', '.join(tags)}"
                if tags
                else ""
            )
        )
    close = difflib.get_close_matches(weights, tags, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    known = f" Its tags are: {', '.join(tags)}." if tags else " open_clip has no tag for it."
    return f"weights={weights!r} is neither a file nor a tag of {name}{hint}.{known}"


def _openai_file(name: str) -> str:
    url = open_clip.get_pretrained_url(name, "openai")
    return url.rpartition("/")[2] or "file"


__all__ = ["LoadedClip", "check_clip", "fingerprint", "load_clip"]
