"""A config and a checkpoint as a model that is ready to be asked."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmseg.registry import MODELS

from zegclip.errors import InputError
from zegclip.files import PROJECT_ROOT, as_checkpoint, find_path, read_checkpoint, read_url
from zegclip.segmentors import ZeroShotSegmentor

from . import start_up
from .launch import find_checkpoint, find_config, learns, read_config

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
            a config that is read already. ``None``: the one with which the checkpoint was trained,
            in the folder where the training wrote both, or the repository's of that name.
        checkpoint: a path; ``None``: the config's ``load_from``. Both ``None``: CLIP without
            training, with OpenAI's ViT-B/16.

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
    checkpoint = checkpoint or cfg.get("load_from")
    if checkpoint is None and not learns(cfg):
        return cfg, None
    file = Path(cfg.filename or "").resolve()
    if checkpoint is None and file.parent == PROJECT_ROOT / "configs":
        if file.stem == _config_name(MINI_CHECKPOINT):
            checkpoint = MINI_CHECKPOINT
    if checkpoint is None:
        raise InputError(
            f"{cfg.filename or 'the config'} names no checkpoint (load_from): give one, "
            "checkpoint=PATH; tools/train.py writes them into its work dir"
        )
    return cfg, find_checkpoint(str(checkpoint))


def _config_of(checkpoint: str) -> str:
    """The config of a checkpoint: its training's, or the repository's of the name that it carries.

    A config is a program. The one beside a checkpoint is run only where a training of this machine
    wrote both, which mmengine's ``last_checkpoint`` says with the folder's full path.
    """
    folder, name = Path(checkpoint).resolve().parent, f"{_config_name(checkpoint)}.py"
    beside, ours = folder / name, PROJECT_ROOT / "configs" / name
    last = folder / "last_checkpoint"
    if beside.is_file() and last.is_file() and Path(last.read_text()).parent == folder:
        return str(beside)
    if ours.is_file():
        return str(ours)
    found = next(filter(Path.is_file, (beside, folder / f"{Path(checkpoint).stem}.py")), None)
    hint = f"; {found} is run only if you name it, because a config is a program" if found else ""
    raise InputError(
        f"which config {checkpoint} was trained with cannot be told: give it (config=PATH, "
        f"--config PATH){hint}"
    )


def _config_name(checkpoint: str) -> str:
    meta = _read(checkpoint).get("meta") or {}
    return Path(str(meta.get("config") or Path(checkpoint).parent.name)).stem


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
        The model in evaluation mode; its ``dataset_meta`` is the checkpoint's, where it has any,
        or the config's.

    Raises:
        InputError: CLIP weights are missing, the checkpoint cannot be read or is of another model.
    """
    start_up.check(cfg, modes=())
    # Some of mmengine's parts are only found within the scope of mmseg.
    # (A data preprocessor may stand beside the model, as mmengine's runner takes it.)
    beside = {"data_preprocessor": cfg.get("data_preprocessor"), "train_cfg": None}
    model = MODELS.build({**beside, **cfg.model, "_scope_": "mmseg"})
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
    meta = (content.get("meta") or {}).get("dataset_meta") or cfg.get("dataset_meta")
    if meta and meta.get("classes"):
        model.dataset_meta = meta
    return model.to(device).eval()
