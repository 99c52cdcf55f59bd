"""Configs and checkpoints: which one is meant, and what a run needs in it."""

from __future__ import annotations

import difflib
import re
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.logging import print_log
from mmseg.registry import MODELS

from zegclip.datasets.from_config import LOADERS, iter_datasets
from zegclip.errors import InputError
from zegclip.files import PROJECT_ROOT, find_path

from .config_options import apply_options, check_variables

# Hooks that no run goes without, whatever a config has put in the place of our schedules'.
_HOOKS = {
    "vocabulary": "VocabularyHook",
    "report": "ReportHook",
    "plain_checkpoint": "PlainCheckpointHook",
    "resume": "ResumeHook",
    "finite": "FiniteHook",
}
# What goes with each loader: mmengine takes all of it, or none.
_BESIDE_LOADER = {
    "train": ("train_cfg", "optim_wrapper", "param_scheduler"),
    "val": ("val_cfg", "val_evaluator"),
    "test": ("test_cfg", "test_evaluator"),
}


def find_config(path: str) -> Path:
    """The file that a config argument means.

    PASCAL Context has two protocols; ``context`` alone means ``context60``, the papers', and says
    so.

    Args:
        path: as typed: relative to the current folder, to the repository or to its configs, with
            or without ``.py``.

    Raises:
        InputError: there is no such config; names the ones with similar names.
    """
    full = re.sub(r"_context(?=_[a-z-]+(\.py)?$|(\.py)?$)", "_context60", path)
    for name in (path, full):
        for candidate in (name, f"configs/{name}", f"{name}.py", f"configs/{name}.py"):
            found = find_path(candidate)
            if found.is_file():
                if name != path:
                    print_log(f"{path} is an alias of {full}; PASCAL Context has context59 as well")
                return found
    names = {file.name: file for file in sorted((PROJECT_ROOT / "configs").glob("*.py"))}
    close = difflib.get_close_matches(Path(path).name, names, n=3, cutoff=0.5) or list(names)[:5]
    hint = "".join(f"\n  configs/{name}" for name in close)
    raise InputError(f"no config {path!r}." + (f" Did you mean{hint}" if hint else ""))


def read_config(path: str | Path) -> Config:
    """A config file, as mmengine reads it.

    Raises:
        InputError: it, or one that it builds on, is no Python, or raises anything.
    """
    try:
        return Config.fromfile(path)
    except Exception as error:  # a config is a program
        hint = ": save it as UTF-8 without a byte-order mark" * ("U+FEFF" in str(error))
        hint = hint or ": does it build on itself?" * isinstance(error, RecursionError)
        cause = error.__cause__ or error  # (mmengine's own text lists all of sys.path)
        if isinstance(cause, ImportError):
            cause = cause.__context__ or cause  # (and for custom_imports hides the reason)
        frames = [
            *traceback.extract_tb(error.__traceback__),
            *traceback.extract_tb(cause.__traceback__),
        ]
        place = [f"{f.filename}:{f.lineno}: " for f in frames if f.name == "<module>"][-1:]
        reason = "".join([*place, f"{type(cause).__name__}: {cause}"])
        raise InputError(
            f"{path}, or a config that it builds on, cannot be read ({reason}){hint}"
        ) from None


def complete_config(
    config: str,
    options: Mapping[str, Any] | None = None,
    unseen: Sequence[str] | None = None,
    trains: bool = True,
) -> Config:
    """A config as a run needs it: with the options, another split, and our hooks.

    Args:
        config: as :func:`find_config` takes it.
        options: of ``--cfg-options``.
        unseen: names of the unseen classes, instead of the config's.
        trains: False for a test, in which options of the training are errors.

    Raises:
        InputError: there is no such config, or it or an option sets what no run reads.
    """
    cfg = read_config(find_config(config))
    check_variables(cfg)
    apply_options(cfg, options, trains)
    for mode, rest in _BESIDE_LOADER.items():
        if cfg.get(LOADERS[mode]) is None:  # mmengine refuses the rest without it
            cfg.update(dict.fromkeys(rest))
    for loader in (cfg.get(name) or {} for name in LOADERS.values()):
        if not loader.get("num_workers") and loader.get("persistent_workers"):
            loader["persistent_workers"] = False  # torch refuses it where nothing persists
        if loader and torch.cuda.is_available():  # copied to it faster
            loader.setdefault("pin_memory", True)
        for dataset in iter_datasets(loader.get("dataset")):
            if unseen is not None:
                dataset["unseen"] = unseen
    cfg.default_hooks = cfg.get("default_hooks") or {}
    hooks = [*cfg.default_hooks.values(), *(cfg.get("custom_hooks") or ())]
    for name, kind in _HOOKS.items():
        if cfg.default_hooks.get(name, kind) is None:
            raise InputError(f"default_hooks.{name}=None: a run needs its {kind}")
        if not any(hook and hook.get("type") == kind for hook in hooks):
            cfg.default_hooks[name] = dict(type=kind)
    if cfg.get("load_from") and "://" not in cfg.load_from:
        cfg.load_from = str(find_path(cfg.load_from))
    return cfg


def use_mixed_precision(cfg: Config) -> None:
    """What ``--amp`` changes in a config: the optimiser's wrapper, if it trains at all."""
    if cfg.get("optim_wrapper"):
        cfg.optim_wrapper.type = "AmpOptimWrapper"
        cfg.optim_wrapper.setdefault("loss_scale", "dynamic")


def learns(cfg: Mapping[str, Any]) -> bool:
    """Whether anything in a config's model is learned: else there is no checkpoint of it."""
    if not isinstance(cfg.get("model"), dict):
        raise InputError("the config has no model=dict(...): build on one of configs/ by _base_")
    parts = [cfg["model"].get(part) for part in ("image_encoder", "text_encoder", "decode_head")]
    return any(
        part is None
        # (An encoder of no prompts learns nothing.)
        or (part.get("num_prompts") != 0 and getattr(MODELS.get(part["type"]), "learns", True))
        for part in parts
    )


def methods_with(data: str) -> list[str]:
    """The methods that have a config ``{method}_{data}_inductive.py``, the baseline first.

    So that its configs are all that such a tool needs to know of a new method.
    """
    ending = f"_{data}_inductive"
    found = {file.stem.removesuffix(ending) for file in PROJECT_ROOT.glob(f"configs/*{ending}.py")}
    return sorted(found, key=lambda name: (name != "zegclip", name))


def find_checkpoint(path: str) -> str:
    """The checkpoint that an argument means; URLs stay as they are.

    Raises:
        InputError: there is no such file; names the checkpoints beside it, newest first.
    """
    if "://" in path or find_path(path).is_file():
        return path if "://" in path else str(find_path(path))
    places = (Path(path), Path(path).parent, find_path(path), find_path(path).parent)
    folder = next((place for place in places if place.is_dir()), Path())
    near = sorted(folder.glob("*.pth"), key=lambda file: -file.stat().st_mtime)[:3]
    hint = " There is" + ",".join(f" {file}" for file in near) + "." if near else ""
    raise InputError(f"no checkpoint {path!r}.{hint} tools/train.py writes them into its work dir.")
