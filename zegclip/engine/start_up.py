"""What a run needs, looked for before it starts: one message that says all that is missing."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.hooks import CheckpointHook
from mmengine.logging import print_log
from mmengine.runner import Runner
from mmseg.registry import OPTIMIZERS, PARAM_SCHEDULERS

from zegclip.clip import check_clip
from zegclip.compat import limit_threads
from zegclip.datasets import ZeroShotDataset
from zegclip.datasets.from_config import LOADERS, dataset_class, iter_datasets
from zegclip.errors import InputError, did_you_mean
from zegclip.files import PROJECT_ROOT, find_path


def check(cfg: Mapping[str, Any], modes: Sequence[str], data_only: bool = False) -> None:
    """Stop before any work where something is missing.

    Args:
        cfg: the complete config of the run.
        modes: the loops that will run: any of ``train``, ``val``, ``test``; none: a model is built.
        data_only: no model is built: only the data must be there.

    Raises:
        InputError: CLIP weights, a checkpoint or data are missing; names each, where it belongs
            and how to get it. Or the training's settings do not fit each other.
    """
    if "train" in modes and cfg.get("train_dataloader") is None:
        raise InputError(
            "this config has no train_dataloader: it only tests a checkpoint that another config "
            "trained (tools/test.py)"
        )
    if "test" in modes and cfg.get("test_dataloader") is None:
        raise InputError("this config has no test_dataloader: it only trains (tools/train.py)")
    if "train" in modes:
        _check_training(cfg)
    check_starts(cfg.get("model") or {})
    if not data_only:
        _warn_of_mixed_shapes(cfg, [mode for mode in modes if mode != "train"])
    problems = list(missing(cfg, modes, data_only))
    if problems:
        listed = "\n".join(f"{n}. {problem}" for n, problem in enumerate(problems, start=1))
        raise InputError(
            f"something is missing (relative paths count from here, then from {PROJECT_ROOT}):\n"
            f"{listed}\n`python tools/check_env.py` shows what is found; `make demo` needs none of "
            "it."
        )
    if modes:  # (whoever only builds a model keeps the threads of the process)
        loaders = [cfg.get(LOADERS[mode]) or {} for mode in modes]
        limit_threads(max(loader.get("num_workers", 0) for loader in loaders))


def _check_training(cfg: Mapping[str, Any]) -> None:
    """Refuse settings of a training that do not fit each other."""
    if optimizer := (cfg.get("optim_wrapper") or {}).get("optimizer"):
        _check_optimizer(optimizer)
    _check_checkpoints((cfg.get("default_hooks") or {}).get("checkpoint") or {})
    _check_crop(cfg)
    _check_hiding(cfg)
    _warn_of_held_out(cfg)
    _warn_of_choice(cfg)
    _check_loop(cfg)


def _check_loop(cfg: Mapping[str, Any]) -> None:
    """Refuse a length that is none, and a sampler or a schedule that counts otherwise."""
    loop, sampler = cfg.get("train_cfg") or {}, cfg["train_dataloader"].get("sampler") or {}
    kind = loop.get("type", f"{'Epoch' if loop.get('by_epoch', True) else 'Iter'}BasedTrainLoop")
    if kind == "EpochBasedTrainLoop" and sampler.get("type") == "InfiniteSampler":
        raise InputError(
            "train_cfg counts epochs, and with an InfiniteSampler none ends: set "
            "train_dataloader.sampler=dict(type='DefaultSampler', shuffle=True)"
        )
    schedules = cfg.get("param_scheduler") or []
    for each in schedules if isinstance(schedules, Sequence) else [schedules]:
        by_epoch = each.get("by_epoch", True) and not each.get("convert_to_iter_based")
        # (One that follows a score is stepped after each validation.)
        by_score = getattr(PARAM_SCHEDULERS.get(each.get("type")), "need_val_args", False)
        if kind == "IterBasedTrainLoop" and by_epoch and not by_score:
            raise InputError(
                f"param_scheduler: {each.get('type')} counts epochs and train_cfg iterations, so "
                "that the learning rate would stay where it starts: set by_epoch=False in it"
            )
    for name, number in loop.items():
        whole = isinstance(number, int) and number >= 1
        if name in ("max_iters", "max_epochs", "val_interval") and not whole:
            raise InputError(f"train_cfg.{name}={number!r} must be a whole number from 1 on")


def _check_optimizer(optimizer: Mapping[str, Any]) -> None:
    """Refuse what is left of another optimiser's settings where only ``type`` was changed."""
    kind = optimizer.get("type")
    kind = OPTIMIZERS.get(kind) if isinstance(kind, str) else kind
    if kind is None:
        name = str(optimizer.get("type"))
        hint = did_you_mean(name, OPTIMIZERS.parent.module_dict)
        raise InputError(f"optim_wrapper.optimizer.type={name!r} is none{hint}")
    takes = inspect.signature(kind).parameters.values()
    names = {"type", *(each.name for each in takes)}
    left = [name for name in optimizer if name not in names]
    if left and not any(each.kind is each.VAR_KEYWORD for each in takes):
        name = optimizer["type"]
        raise InputError(
            f"optim_wrapper.optimizer: {name} takes no {', no '.join(left)}; say all of its "
            "settings in a config of your own, optim_wrapper = dict(optimizer=dict(_delete_=True, "
            f"type={name!r}, ...))"
        )


def _check_crop(cfg: Mapping[str, Any]) -> None:
    """Refuse crops larger than what is padded to, which no batch can hold; warn of smaller ones."""
    padded = ((cfg.get("model") or {}).get("data_preprocessor") or {}).get("size")
    for dataset in iter_datasets(cfg["train_dataloader"].get("dataset")):
        for step in dataset.get("pipeline") or ():
            crop = step.get("crop_size")
            sides = (crop, crop) if isinstance(crop, int) else crop or ()
            if any(side > to for side, to in zip(sides, padded or ())):
                raise InputError(
                    f"the training's crop_size={crop} is larger than model.data_preprocessor.size="
                    f"{padded}, to which smaller images are padded: set both alike"
                )
            # (A few pixels make a side a multiple of the patches'.)
            if any(side + 32 < to for side, to in zip(sides, padded or ())):
                print_log(
                    f"every crop of {crop} pixels is padded to model.data_preprocessor.size="
                    f"{padded}, and the padding is of no class: set both alike (the crop is in "
                    "train_dataloader.dataset.pipeline)",
                    "current",
                    logging.WARNING,
                )


def _check_hiding(cfg: Mapping[str, Any]) -> None:
    """Refuse a step that sees labels before unseen ones are hidden, such as a choice of crops."""
    for dataset in iter_datasets(cfg["train_dataloader"].get("dataset")):
        kinds = [step.get("type") for step in dataset.get("pipeline") or ()]
        steps = [getattr(kind, "__name__", str(kind)) for kind in kinds]
        if "HideUnseenLabels" not in steps or dataset.get("setting") == "supervised":
            continue
        before = steps[: steps.index("HideUnseenLabels")]
        loaders = [index for index, step in enumerate(before) if "Annotations" in step]
        # (A loader of one's own may have any name.)
        if looking := before[loaders[-1] + 1 :] if loaders else []:
            raise InputError(
                f"the training pipeline's {looking[0]} sees the labels of unseen classes: put "
                "HideUnseenLabels directly after the step that loads the annotations"
            )


def _warn_of_choice(cfg: Mapping[str, Any]) -> None:
    """Warn where validations on unseen classes steer a training that may not know them."""
    datasets = iter_datasets(cfg["train_dataloader"].get("dataset"))
    if any(dataset.get("setting") == "supervised" for dataset in datasets):
        return
    hooks = (*(cfg.get("default_hooks") or {}).values(), *(cfg.get("custom_hooks") or ()))
    schedules = cfg.get("param_scheduler") or []
    parts = [*hooks, *(schedules if isinstance(schedules, Sequence) else [schedules])]
    for part in filter(None, parts):
        followed = part.get("save_best") or part.get("monitor")
        for name in followed if isinstance(followed, (list, tuple)) else [followed]:
            # ("auto" is the first score, pAcc.)
            if str(name).rpartition("/")[2] in ("pAcc", "mIoU_U", "hIoU", "auto"):
                print_log(
                    f"{part.get('type')} follows {name}, so that the labels of unseen classes have "
                    "a say in the training or its choice: report it, or follow mIoU_S",
                    "current",
                    logging.WARNING,
                )


def _warn_of_mixed_shapes(cfg: Mapping[str, Any], modes: Sequence[str]) -> None:
    """Warn where a batch of validation or test would hold images of several shapes.

    mmseg cannot stack them, and would say so after hours of training.
    """
    for mode in modes:
        name = LOADERS[mode]
        loader = cfg.get(name) or {}
        if (loader.get("batch_size") or 1) == 1:
            continue
        for dataset in iter_datasets(loader.get("dataset")):
            for step in dataset.get("pipeline") or ():
                resize = step.get("type") == "Resize" and step.get("keep_ratio")
                if resize or step.get("type") == "ResizeShortestEdge":
                    print_log(
                        f"{name}.batch_size={loader['batch_size']}, but its pipeline's "
                        f"{step['type']} keeps each image's shape: where they differ, this will "
                        f"end with an error; set {name}.batch_size=1",
                        "current",
                        logging.WARNING,
                    )


def _warn_of_held_out(cfg: Mapping[str, Any]) -> None:
    """Say that validation images are trained on; who evaluates elsewhere may want it."""
    for dataset in iter_datasets(cfg["train_dataloader"].get("dataset")):
        kind = dataset_class(dataset)
        if kind is not None and issubclass(kind, ZeroShotDataset):
            if named := kind.named_held_out_list(dataset):
                print_log(
                    f"{kind.__name__}: train_dataloader's ann_file names {named}, so that the "
                    "validation images are trained on; scores on them say nothing",
                    "current",
                    logging.WARNING,
                )


def check_starts(model: Mapping[str, Any], name: str = "model") -> None:
    """Refuse ``init_cfg`` of type Pretrained: such a file does not say which classes it saw."""
    starts = model.get("init_cfg") or ()
    for each in [starts] if isinstance(starts, Mapping) else starts:
        if each.get("type") == "Pretrained":
            raise InputError(
                f"{name}.init_cfg of type Pretrained does not say which classes its weights have "
                "seen: name the checkpoint by load_from"
            )
    for key, part in model.items():
        if isinstance(part, Mapping) and key != "init_cfg":
            check_starts(part, f"{name}.{key}")


def _check_checkpoints(hook: Mapping[str, Any]) -> None:
    """Refuse settings that mmengine would meet when it saves for the first time, hours later."""
    if hook.get("type") != "CheckpointHook":
        return
    makers = (CheckpointHook.__init__, Runner.save_checkpoint)
    known = {
        "type",
        "priority",
        *(name for each in makers for name in inspect.signature(each).parameters),
    }
    if unknown := [name for name in hook if name not in known]:
        hint = did_you_mean(unknown[0], known)
        raise InputError(f"default_hooks.checkpoint takes no setting {unknown[0]!r}{hint}")


def missing(
    cfg: Mapping[str, Any], modes: Sequence[str] = tuple(LOADERS), data_only: bool = False
) -> Iterator[str]:
    """Everything that a run lacks, a sentence for each thing; arguments as of :func:`check`."""
    clip = (cfg.get("model") or {}).get("clip")
    if not data_only and clip is not None:
        names = {"model_name", "weights"}
        if not isinstance(clip, Mapping) or set(clip) != names:
            raise InputError(f"model.clip={clip!r} must name {' and '.join(sorted(names))}")
        if problem := check_clip(**clip):
            yield problem
    if not data_only and modes and (problem := _missing_checkpoint(cfg, modes)):
        yield problem
    said = set()
    for mode in modes:
        for dataset in iter_datasets((cfg.get(LOADERS[mode]) or {}).get("dataset")):
            kind = dataset_class(dataset)
            if kind is None or not issubclass(kind, ZeroShotDataset):
                continue
            folders = dataset.get("data_prefix")
            if mode != "test" and folders is not None and "seg_map_path" not in folders:
                yield f"{LOADERS[mode]}.dataset.data_prefix.seg_map_path: the masks' folder."
            kind.vocabulary_of(dataset)  # a split that does not fit is said before anything else
            if lacking := kind.missing(dataset):
                problem = f"{kind.__name__}: there is no {', no '.join(map(str, lacking))}. "
                problem += kind.how_to_get()
                if problem not in said:
                    yield problem
                said.add(problem)


def _missing_checkpoint(cfg: Mapping[str, Any], modes: Sequence[str]) -> str | None:
    """Whether the checkpoint that the run starts from is not there, or not even named."""
    checkpoint = cfg.get("load_from")
    if checkpoint:
        if "://" in checkpoint or find_path(checkpoint).is_file():
            return None
        name = Path(checkpoint).parent.name
        config = PROJECT_ROOT / "configs" / f"{name}.py"
        trains = f" `python tools/train.py configs/{name}.py` writes it;" * config.is_file()
        return f"Checkpoint {checkpoint}:{trains} for another one, --cfg-options load_from=PATH."
    train = cfg.get("train_dataloader") if "train" in modes and not cfg.get("resume") else None
    settings = {d.get("setting") for d in iter_datasets((train or {}).get("dataset"))}
    if "transductive" in settings:
        return (
            "Checkpoint: the transductive setting goes on from an inductive run, and none is "
            "named: set load_from."
        )
    return None
