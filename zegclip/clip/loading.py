"""Load a frozen CLIP: an open_clip model with weights from a tag or a local file."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from zegclip.compat import ImportedLater
from zegclip.errors import InputError, did_you_mean
from zegclip.files import find_path

from .weight_files import read_weights
from .weight_tags import check_tag, fetch_tag, find_tag

open_clip = ImportedLater("open_clip")

# Settings of open_clip's other kind of block, which run_block does not compute.
_OTHER_BLOCKS = (
    "qk_norm", "scale_attn", "scale_attn_inner", "scale_fc", "scale_heads", "scaled_cosine_attn",
)  # fmt: skip


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
            dict), an open_clip tag (``"openai"``: ``data/clip/ViT-B-16.pt`` if it is there, else
            downloaded once), or
            ``"random"`` / ``"random:SEED"`` for tests and counting.

    Raises:
        InputError: unknown or unsupported model, missing or unsuitable weights.

    Example:
        >>> clip = load_clip("ViT-B-16-quickgelu", "openai")
        >>> clip.model.encode_text(clip.tokenizer(["a photo of a cat"]), normalize=True)
    """
    config = _find_config(model_name)
    _check_weights(model_name, config, weights)
    kind, _, seed = weights.partition(":")
    # Building draws random numbers; those of the caller stay as they are. (torch.manual_seed
    # would seed every GPU's generator as well.)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(int(seed or 0) if kind == "random" else 0)
        model = open_clip.CLIP(**config)
    if kind != "random":
        path = find_path(weights)
        path = path if path.is_file() else fetch_tag(model_name, weights)
        state, quick_gelu = read_weights(path)
        _check_activation(quick_gelu, model_name, config, str(path))
        _fill(model, state, path)
    model.eval().requires_grad_(False).float()
    if model_name.endswith(".json"):
        context = config["text_cfg"].get("context_length", 77)
        tokenizer = open_clip.SimpleTokenizer(context_length=context)
    else:
        tokenizer = open_clip.get_tokenizer(model_name)
    return LoadedClip(model, tokenizer, model_name, weights, fingerprint(model))


def check_clip(model_name: str, weights: str) -> str | None:
    """What would keep :func:`load_clip` from working (``None``: nothing), without loading."""
    try:
        _check_weights(model_name, _find_config(model_name), weights)
    except InputError as error:
        return str(error)
    return None


def is_downloaded(model_name: str, weights: str) -> bool:
    """Whether :func:`load_clip` would download nothing."""
    entry = open_clip.get_pretrained_cfg(model_name, weights)
    return find_path(weights).is_file() or not entry or find_tag(entry) is not None


def fingerprint(model: nn.Module) -> str:
    """SHA-256 over activation, heads, and names, shapes and a strided sample of the parameters."""
    digest = hashlib.sha256()
    block = model.visual.transformer.resblocks[0]
    digest.update(f"{type(block.mlp.gelu).__name__} {block.attn.num_heads}".encode())
    for name, parameter in sorted(model.named_parameters()):
        values = parameter.detach().float().flatten()
        sample = values[:: max(1, len(values) // 1024)].contiguous()
        digest.update(f"{name} {tuple(parameter.shape)}".encode())
        digest.update(sample.cpu().numpy().tobytes())
    return digest.hexdigest()


# --- model -------------------------------------------------------------------------------------


def _find_config(model_name: str) -> dict[str, Any]:
    """open_clip's config of a model, by its name or from a JSON file."""
    if model_name.endswith(".json"):
        path = find_path(model_name)
        if not path.is_file():
            raise InputError(f"CLIP config not found: {path}")
        try:
            config = json.loads(path.read_text(encoding="utf-8-sig"))
        except ValueError as error:
            raise InputError(f"{path} is no JSON: {error}") from None
        config = config.get("model_cfg", config) if isinstance(config, dict) else {}  # (the Hub's)
        if not {"vision_cfg", "text_cfg"} <= config.keys():
            raise InputError(f"{path} is no config of open_clip: no vision_cfg and text_cfg in it")
    else:
        # (Not "hf-hub:NAME" nor "local-dir:PATH": open_clip would run such a place's tokenizer.)
        if model_name not in open_clip.list_models():
            hint = did_you_mean(model_name, open_clip.list_models())
            raise InputError(f"open_clip has no model {model_name!r}{hint}")
        config = open_clip.get_model_config(model_name)
    vision, text = config["vision_cfg"], config["text_cfg"]
    if (
        "timm_model_name" in vision
        or not isinstance(vision.get("layers", 12), int)  # a ResNet
        or vision.get("attentional_pool")
        or vision.get("pool_type") == "none"
        or "hf_model_name" in text
        or (model_name.endswith(".json") and "hf_tokenizer_name" in text)
        or config.get("custom_text")
        or "multimodal_cfg" in config
        or any(part.get(key) for part in (vision, text) for key in _OTHER_BLOCKS)
    ):
        raise InputError(
            f"{model_name} is not a plain ViT with CLIP's own text tower, as the prompts need it: "
            "take a ViT of open_clip such as ViT-B-16-quickgelu"
        )
    return config


def _fill(model: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        differences = " ".join(line.strip()[:200] for line in str(error).splitlines()[1:4])
        kind = "none of a CLIP ViT"
        if "visual.conv1.weight" in state:
            width, _, _, patch = state["visual.conv1.weight"].shape
            layers = sum(key.endswith("ln_1.weight") for key in state if "visual." in key)
            kind = f"those of a ViT of width {width}, {layers} layers, patch {patch}"
        raise InputError(
            f"{path} does not fit model.clip.model_name ({differences}). Its weights look like "
            f"{kind}"
        ) from error


# --- weights -----------------------------------------------------------------------------------


def _check_weights(model_name: str, config: Mapping[str, Any], weights: str) -> None:
    """Refuse what is neither a file nor a tag, and a tag that needs the other activation."""
    path = find_path(weights)
    if path.is_file() or re.fullmatch(r"random(:\d+)?", weights):
        return
    # A tag that only the model with the other activation has is a mismatch, too.
    other = _with_other_activation(model_name, config)
    find = open_clip.get_pretrained_cfg
    entry = find(model_name, weights) or find(other, weights)
    if entry:
        quick_gelu = bool(entry.get("quick_gelu"))
        _check_activation(quick_gelu, model_name, config, f"tag {weights!r}")
        return check_tag(model_name, weights, entry)
    tags = open_clip.list_pretrained_tags_by_model(model_name)
    url = open_clip.get_pretrained_url(model_name, "openai")
    file = f" (OpenAI's {Path(url).name})" if url else ""
    download = (
        f", or set model.clip.weights to a tag to download: {', '.join(tags)}" if tags else ""
    )
    raise InputError(
        f"CLIP weights not found: {path} is no file, and {weights!r} is no tag of {model_name}"
        f"{did_you_mean(weights, tags)}; put the file there{file}{download}"
    )


def _check_activation(
    quick_gelu: bool | None, model_name: str, config: Mapping[str, Any], weights: str
) -> None:
    """Refuse weights that were trained with the other activation (``None``: not known)."""
    has = bool(config.get("quick_gelu"))
    if quick_gelu is None or quick_gelu == has:
        return
    fix = f"use model_name={_with_other_activation(model_name, config)!r}"
    if model_name.endswith(".json"):
        fix = f'set "quick_gelu": {str(quick_gelu).lower()} in {model_name}'
    names = {True: "QuickGELU", False: "GELU"}
    raise InputError(
        f"the CLIP weights {weights} were trained with {names[quick_gelu]}, but model.clip."
        f"model_name={model_name!r} has {names[has]} and would be silently wrong: {fix}"
    )


def _with_other_activation(model_name: str, config: Mapping[str, Any]) -> str:
    suffix = "-quickgelu"
    return model_name.removesuffix(suffix) if config.get("quick_gelu") else model_name + suffix
