"""Data sets as a config describes them, before they are built."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmseg.registry import DATASETS

from .base import ZeroShotDataset

LOADERS = {"train": "train_dataloader", "val": "val_dataloader", "test": "test_dataloader"}


def iter_datasets(dataset: Any) -> Iterator[dict[str, Any]]:
    """The data sets inside a config's ``dataset``, through wrappers that repeat or join them."""
    if isinstance(dataset, Sequence) and not isinstance(dataset, str):
        for item in dataset:
            yield from iter_datasets(item)
    elif isinstance(dataset, Mapping):
        inner = dataset.get("dataset") or dataset.get("datasets")
        if inner is not None:
            yield from iter_datasets(inner)
        else:
            yield dataset  # type: ignore[misc]


def dataset_class(dataset: Mapping[str, Any]) -> type | None:
    """The class of a data set's config; ``None`` if it is not registered."""
    kind = dataset.get("type")
    kind = DATASETS.get(kind) if isinstance(kind, str) else kind
    return kind if isinstance(kind, type) else None


def completed_metainfo(
    metainfo: Mapping[str, Any], cfg: Mapping[str, Any] | None
) -> Mapping[str, Any]:
    """The metainfo of a checkpoint, which mmseg's ``MMSegInferencer`` cuts short.

    It drops all but ``classes`` and ``palette``; without synonyms and split the model would predict
    something else than in its test. They are taken from the data set of ``cfg``, the config that
    the model was built from, which has these very classes.
    """
    if cfg is None or set(metainfo) != {"classes", "palette"}:
        return metainfo
    for loader in reversed(LOADERS.values()):
        for dataset in iter_datasets((cfg.get(loader) or {}).get("dataset")):
            kind = dataset_class(dataset)
            if kind is None or not issubclass(kind, ZeroShotDataset):
                continue
            own = kind.vocabulary_of(dataset)
            if own.classes == tuple(metainfo["classes"]):
                split = {"unseen": own.unseen, "synonyms": own.synonyms, "setting": own.setting}
                return {**metainfo, **split}
    return metainfo
