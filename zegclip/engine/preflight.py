"""What a run needs, checked before it starts: one message that says all that is missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zegclip.errors import InputError
from zegclip.files import PROJECT_ROOT, find_path

from .option_checks import unknown_options

_LOADERS = {"train": "train_dataloader", "val": "val_dataloader", "test": "test_dataloader"}


@dataclass
class MissingData:
    """What of one data set is not there.

    Attributes:
        name: its class, for people.
        root: where it was looked for.
        used_by: ``train``, ``val``, ``test``.
        parts: folders and list files that are missing in ``root``; empty: all of it.
    """

    name: str
    root: Path
    used_by: list[str] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)

    def how_to_get(self) -> str:
        """The commands that fetch the data set, where they are known, or how to point to it."""
        elsewhere = "Put it there, or point the config's data_root to where it is."
        return elsewhere


def iter_datasets(dataset: Any) -> Iterator[Mapping[str, Any]]:
    """The data sets inside a config's ``dataset``, through wrappers that repeat or join them."""
    if isinstance(dataset, Sequence) and not isinstance(dataset, str):
        for item in dataset:
            yield from iter_datasets(item)
    elif isinstance(dataset, Mapping):
        inner = dataset.get("dataset") or dataset.get("datasets")
        if inner is not None:
            yield from iter_datasets(inner)
        else:
            yield dataset


def makes_itself(dataset: Mapping[str, Any]) -> bool:
    """Whether a data set is generated on first use, so that nothing of it can be missing."""
    kind = dataset.get("type", "")
    return (kind if isinstance(kind, str) else kind.__name__).startswith("MiniScene")


def find_missing_data(
    cfg: Mapping[str, Any], modes: Sequence[str] = tuple(_LOADERS)
) -> list[MissingData]:
    """What the data loaders of a config read that does not exist, one entry per data set folder.

    Args:
        cfg: a config; loaders that it lacks are skipped.
        modes: which of ``train``, ``val`` and ``test`` are wanted.
    """
    found: dict[Path, MissingData] = {}
    for mode in modes:
        loader = cfg.get(_LOADERS[mode]) or {}
        for dataset in iter_datasets(loader.get("dataset")):
            if makes_itself(dataset):
                continue
            root = find_path(dataset.get("data_root") or ".")
            parts = _missing_parts(dataset, root)
            if parts is None:
                continue
            kind = dataset.get("type", "data set")
            name = kind if isinstance(kind, str) else kind.__name__
            entry = found.setdefault(root, MissingData(name, root))
            entry.used_by += [mode] if mode not in entry.used_by else []
            entry.parts += [part for part in parts if part not in entry.parts]
    return list(found.values())


def _missing_parts(dataset: Mapping[str, Any], root: Path) -> list[str] | None:
    """The parts of a data set missing in ``root``: all of it is ``[]``, nothing is None."""
    if not root.is_dir():
        return []
    lists = dataset.get("ann_file") or []
    lists = [lists] if isinstance(lists, str) else list(lists)
    prefixes = [value for value in (dataset.get("data_prefix") or {}).values() if value]
    missing = [part for part in [*prefixes, *lists] if not (root / part).exists()]
    return missing or None


def find_missing(
    cfg: Mapping[str, Any], modes: Sequence[str] = tuple(_LOADERS), data_only: bool = False
) -> list[str]:
    """Everything that a run of ``cfg`` lacks, one text for each thing; empty if nothing.

    Args:
        cfg: a config.
        modes: the loops that will run: any of ``train``, ``val``, ``test``.
        data_only: no model is made: CLIP weights and checkpoints are not asked for.
    """
    problems = []
    clip = None if data_only else (cfg.get("model") or {}).get("clip")
    if isinstance(clip, Mapping):
        from zegclip.clip import check_clip

        message = check_clip(clip["model_name"], clip["weights"])
        if message:
            problems.append(message)
    if not data_only and (problem := _checkpoint_problem(cfg, modes)):
        problems.append(problem)
    for data in find_missing_data(cfg, modes):
        lacks = f"lacks {', '.join(data.parts)}" if data.parts else "does not exist"
        problems.append(
            f"Data set {data.name} ({', '.join(data.used_by)}): {data.root} {lacks}.\n"
            f"{data.how_to_get()}"
        )
    return problems


def _checkpoint_problem(cfg: Mapping[str, Any], modes: Sequence[str]) -> str | None:
    """Whether the checkpoint that the run starts from is not there, or not even named."""
    if not modes:  # nothing is run: only a model is built
        return None
    checkpoint = cfg.get("load_from")
    if checkpoint:
        if "://" in checkpoint or find_path(checkpoint).is_file():
            return None
        name = Path(checkpoint).parent.name
        config = PROJECT_ROOT / "configs" / f"{name}.py"
        trains = (
            f" `python tools/train.py configs/{name}.py` writes it." if config.is_file() else ""
        )
        return (
            f"Checkpoint: {checkpoint} does not exist.{trains} For another one, set load_from "
            "(--cfg-options load_from=PATH)."
        )
    train = cfg.get("train_dataloader") if "train" in modes and not cfg.get("resume") else None
    settings = {d.get("setting") for d in iter_datasets((train or {}).get("dataset"))}
    if "transductive" in settings:
        return (
            "Checkpoint: the transductive setting trains a model further on its own labels of the "
            "unseen pixels, and no checkpoint of an inductive run is named: set load_from."
        )
    return None


def preflight(
    cfg: Mapping[str, Any], modes: Sequence[str] = tuple(_LOADERS), data_only: bool = False
) -> None:
    """Stop before any work where something is missing, in one message.

    Args:
        cfg: the complete config of the run.
        modes: the loops that will run: any of ``train``, ``val``, ``test``.
        data_only: no model is made: only the data must be there.

    Raises:
        InputError: the model's config names a module or an option that there is not; or CLIP
            weights, a checkpoint or data are missing: names each, where it belongs and how to
            get it.
    """
    if unknown := [] if data_only else list(unknown_options(cfg.get("model"))):
        raise InputError("error: " + "\nerror: ".join(unknown))
    if "train" in modes and cfg.get("train_dataloader") is None:
        raise InputError(
            "error: this config has no train_dataloader: it only tests a checkpoint that another "
            "config trained (tools/test.py)"
        )
    problems = find_missing(cfg, modes, data_only)
    if not problems:
        return
    things = "1 thing is" if len(problems) == 1 else f"{len(problems)} things are"
    listed = "\n\n".join(
        f"{i}. " + problem.replace("\n", "\n   ") for i, problem in enumerate(problems, start=1)
    )
    raise InputError(
        f"Cannot start: {things} missing (relative paths are looked for in the current folder, "
        f"then in {PROJECT_ROOT}).\n\n{listed}\n\n"
        "`python tools/check_env.py` shows what is found. `make demo` needs none of it."
    )
