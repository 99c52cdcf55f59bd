"""A config and a checkpoint as a model that is ready to be asked."""

from __future__ import annotations

import functools
import logging
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.logging import print_log
from mmseg.registry import MODELS

from zegclip.errors import InputError
from zegclip.evaluation.training import tested_otherwise
from zegclip.files import PROJECT_ROOT, as_checkpoint, find_path, read_checkpoint, read_url
from zegclip.segmentors import ZeroShotSegmentor

from . import start_up
from .config_files import find_checkpoint, find_config, learns, read_config

# What is used where nothing is named: CLIP without training, which knows photographs.
DEFAULT_CONFIG = "training_free_voc"
# Trained on the mini benchmark; its config is the one that it names.
MINI_CHECKPOINT = "data/mini/mini_model.pth"


def choose_device(device: str | torch.device | None) -> torch.device:
    """The device that is meant; ``None``: CUDA where there is one, else the CPU.

    Raises:
        InputError: there is no such device here.
    """
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(1, device=chosen)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).split("\n")[0].split(". ")[0]
        raise InputError(f"device {str(device)!r} cannot be used: {reason}") from error
    return chosen


def choose_files(
    config: str | Path | Config | None, checkpoint: str | Path | None
) -> tuple[Config, str | None]:
    """The config and the checkpoint that are meant.

    Args:
        config: a path (as the tools take it: relative to here, the repository or its configs), or
            a config that is read already. ``None``: the repository's of the name that the
            checkpoint carries, or its folder, if it was trained so.
        checkpoint: a path; ``None``: the ``load_from`` of a config that does not train (where one
            does, its training starts from that). Both ``None``: CLIP without training, with
            OpenAI's ViT-B/16.

    Returns:
        The config, and the checkpoint; ``None`` where nothing in the model is learned.

    Raises:
        InputError: one of them is not there, or cannot be told from the other.
    """
    if config is None and checkpoint is None:
        config = DEFAULT_CONFIG
    elif config is None:
        checkpoint = find_checkpoint(str(checkpoint))
        config = _config_of(checkpoint)
    cfg = config if isinstance(config, Config) else read_config(find_config(str(config)))
    if checkpoint is None and cfg.get("train_dataloader") is None:
        checkpoint = cfg.get("load_from")
    if checkpoint is None and not learns(cfg):
        return cfg, None
    file = Path(cfg.filename or "").resolve()
    if checkpoint is None and file.parent == PROJECT_ROOT / "configs":
        if file.stem == _config_name(MINI_CHECKPOINT):
            checkpoint = MINI_CHECKPOINT
    if checkpoint is None:
        begins = " (its load_from is what the training starts from)" if cfg.get("load_from") else ""
        raise InputError(
            f"{cfg.filename or 'the config'} names no trained checkpoint{begins}: give one, "
            "checkpoint=PATH; tools/train.py writes them into its work dir"
        )
    return cfg, find_checkpoint(str(checkpoint))


def _config_of(checkpoint: str) -> Config:
    """The repository's config of the name that a checkpoint carries.

    A config is a program, and whoever packs a checkpoint can pack one beside it: that one is only
    named.
    """
    name, folder = f"{_config_name(checkpoint)}.py", Path(checkpoint).resolve().parent
    ours, reason = PROJECT_ROOT / "configs" / name, "which config it was trained with is not told"
    if ours.is_file():
        cfg = read_config(ours)
        if not (otherwise := tested_otherwise(checkpoint_meta(checkpoint), cfg)):
            return cfg
        reason = f"it was not trained as configs/{name} says: {', '.join(otherwise)}"
    beside = next(filter(Path.is_file, (folder / name, folder / f"{Path(checkpoint).stem}.py")), "")
    raise InputError(
        f"{checkpoint}: {reason}; give the config (config=PATH, --config PATH)"
        + (f", {beside} if you trust it, because a config is a program" if beside else "")
    )


def _config_name(checkpoint: str) -> str:
    name = str(checkpoint_meta(checkpoint).get("config") or "")
    if not name or "\n" in name:  # (mmseg before 1.0 wrote the whole text)
        return Path(checkpoint).parent.name
    return Path(name).stem


def checkpoint_meta(checkpoint: str) -> dict[str, Any]:
    """What a checkpoint (path or URL) says of its training; nothing, where it does not."""
    return _read(checkpoint).get("meta") or {}


def _read(checkpoint: str) -> dict[str, Any]:
    is_file = "://" not in checkpoint
    content = read_checkpoint(find_path(checkpoint)) if is_file else _download(checkpoint)
    return as_checkpoint(content, checkpoint)


# Asked for its config, and for its weights.
_download = functools.lru_cache(maxsize=1)(read_url)


def load_model(cfg: Config, checkpoint: str | None, device: torch.device) -> ZeroShotSegmentor:
    """Build the config's model and fill it from a checkpoint, read as data.

    Args:
        cfg: the complete config; it is not changed.
        checkpoint: path or URL; ``None``: there is none, because nothing is learned.
        device: where the model goes.

    Returns:
        The model in evaluation mode; its ``dataset_meta`` is the config's, where it has any, or
        the checkpoint's.

    Raises:
        InputError: CLIP weights are missing, the checkpoint cannot be read or is of another model.
    """
    start_up.check(cfg, modes=())
    # A data preprocessor may stand beside the model, as mmengine's runner takes it; some of
    # mmengine's parts are only found within the scope of mmseg.
    beside = {"data_preprocessor": cfg.get("data_preprocessor"), "_scope_": "mmseg"}
    model = MODELS.build({**beside, **cfg.model})
    if not isinstance(model, ZeroShotSegmentor):
        raise InputError(
            f"{cfg.filename or 'the config'} is of a {type(model).__name__}, which takes no words: "
            "give a config with model.type='ZeroShotSegmentor'"
        )
    if checkpoint is None:
        return model.to(device).eval()
    content = _read(checkpoint)
    _download.cache_clear()  # (it may be large)
    try:
        model.load_state_dict(content.get("state_dict", content))
    except InputError as error:
        raise InputError(f"{checkpoint}: {error}") from error
    meta = content.get("meta") or {}
    if otherwise := tested_otherwise(meta, cfg):
        text = f"{checkpoint} is not used as it was trained, but with {', '.join(otherwise)}"
        print_log(text, "current", logging.WARNING)
    # (A config that goes with its weights, as a published folder's does, says what they are for.)
    dataset_meta = cfg.get("dataset_meta") or meta.get("dataset_meta")
    if dataset_meta and dataset_meta.get("classes"):
        model.dataset_meta = dataset_meta
    return model.to(device).eval()
