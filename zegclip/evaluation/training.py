"""How a model was trained: its settings, a fingerprint of them, and in what two runs differ."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mmengine.config import Config

from zegclip.datasets.files import read_names
from zegclip.datasets.from_config import iter_datasets
from zegclip.errors import InputError
from zegclip.files import find_path

from .protocol import digest


def training_settings(cfg: Config | Mapping[str, Any], processes: int = 1) -> dict[str, Any]:
    """The settings of a complete config that affect training, as plain data by the config's keys.

    Model, training data, how it is drawn, batch of all processes, optimiser, schedule, length and
    custom hooks; not the seed, where files lie, workers and testing. (Nor the checkpoint that
    self-training starts from: it is another file for every seed.)

    Args:
        cfg: complete.
        processes: that train together, each with a batch of the config's size.
    """
    cfg = cfg.to_dict() if isinstance(cfg, Config) else cfg
    loader, length = cfg.get("train_dataloader") or {}, cfg.get("train_cfg") or {}
    model = {k: v for k, v in (cfg.get("model") or {}).items() if k != "test_cfg"}
    if isinstance(clip := model.get("clip"), Mapping):
        model["clip"] = clip.get("model_name")
    dataset = copy.deepcopy(loader.get("dataset") or {})
    for each in iter_datasets(dataset):
        each.pop("data_root", None)
        metainfo = each.get("metainfo") or {}
        if isinstance(metainfo.get("classes"), str):  # a file, which may change
            metainfo["classes"] = read_names(find_path(metainfo["classes"]))
    # (As all of our configs have it; only another one is written down.)
    sampler = {"type": "InfiniteSampler", "shuffle": True} | (loader.get("sampler") or {})
    drawn = {"sampler": sampler} if sampler != {"type": "InfiniteSampler", "shuffle": True} else {}
    drawn |= {key: loader[key] for key in ("batch_sampler",) if loader.get(key)}
    scaling = cfg.get("auto_scale_lr") or {}
    scaled = bool(scaling.get("enable"))
    settings = {
        "model": model,
        "custom_hooks": cfg.get("custom_hooks") or [],
        "auto_scale_lr.enable": scaled,
        **({"auto_scale_lr.base_batch_size": scaling.get("base_batch_size")} if scaled else {}),
        "train_dataloader.dataset": dataset,
        "train_dataloader.batch_size": (batch := loader.get("batch_size")) and batch * processes,
        **{f"train_dataloader.{key}": value for key, value in drawn.items()},
        "train_cfg.max_iters": length.get("max_iters"),
        **{f"train_cfg.{key}": length[key] for key in ("max_epochs",) if key in length},
        "optim_wrapper": cfg.get("optim_wrapper"),
        "param_scheduler": cfg.get("param_scheduler"),
    }
    return json.loads(json.dumps(settings, default=str))


def training_fingerprint(cfg: Config | Mapping[str, Any], processes: int = 1) -> str:
    """12 hexadecimal digits, equal for runs that differ in their seed alone and may be averaged."""
    # (The last two of the dict. A checkpoint's fingerprint is of them in this place.)
    *rest, optimizer, schedule = training_settings(cfg, processes).values()
    return digest([*rest, {"optim_wrapper": optimizer, "param_scheduler": schedule}])


# Settings of a model that do not change what given weights predict.
_OF_LEARNING = re.compile(
    "loss|dropout|init_|aligned_start|checkpoint_activations|compile_blocks|pseudo_labels"
    "|texts_at_once|cache_dir|train_cfg"
)


def tested_otherwise(meta: Mapping[str, Any], cfg: Mapping[str, Any]) -> list[str]:
    """Differences between a tested model and the trained one that change predictions.

    Args:
        meta: of the checkpoint, with the training's :func:`training_settings`; nothing is said of
            one without.
        cfg: of the test; its model may be within a test-time augmentation.
    """
    settings, model = meta.get("settings"), cfg.get("model") or {}
    if not isinstance(settings, dict):
        return []
    model = training_settings({"model": model.get("module", model)})["model"]
    found = changes(settings.get("model"), model, "model")
    return [each for each in found if not _OF_LEARNING.search(each.partition(" ")[0])]


def other_model(differences: Iterable[str]) -> list[str]:
    """Those of :func:`tested_otherwise`'s differences that make a trained model another one.

    Other templates do not: the config of a test on another data set has its own, on purpose.
    """
    return [each for each in differences if not each.startswith("model.text_encoder.templates")]


def check_as_trained(meta: Mapping[str, Any], cfg: Mapping[str, Any]) -> None:
    """Refuse to hand on a trained model with a config that makes it another model.

    Args:
        meta: of its checkpoint.
        cfg: that the model was built from.

    Raises:
        InputError: settings that change predictions differ from the training's; it names them.
    """
    if differences := other_model(tested_otherwise(meta, cfg)):
        raise InputError(
            f"the config is not of the model that was trained: {', '.join(differences)}; give the "
            "config of the training (tools/train.py writes it into its work folder), or the "
            "training's settings by --cfg-options"
        )


def changes(before: Any, now: Any, key: str = "") -> Iterator[str]:
    """Differences of two :func:`training_settings`: ``"optim_wrapper.optimizer.lr (0.1 -> 1)"``."""
    if isinstance(before, dict) and isinstance(now, dict):
        for name in {**before, **now}:
            yield from changes(before.get(name), now.get(name), f"{key}.{name}".lstrip("."))
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        for index, pair in enumerate(zip(before, now)):
            yield from changes(*pair, f"{key}.{index}")
    elif before != now:
        yield f"{key} ({before!s:.60} -> {now!s:.60})"
