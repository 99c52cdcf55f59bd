"""The vocabulary of a model whose metainfo arrives through mmseg's tools."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmseg.registry import DATASETS

from zegclip.datasets import ZeroShotDataset
from zegclip.vocabulary import Vocabulary

_LOADERS = ("test_dataloader", "val_dataloader", "train_dataloader")


def completed_vocabulary(
    metainfo: Mapping[str, Any], cfg: Mapping[str, Any] | None = None
) -> Vocabulary:
    """The vocabulary of a metainfo, which mmseg's ``MMSegInferencer`` cuts short.

    It hands on ``classes`` and ``palette`` of a checkpoint's metainfo and drops the rest; without
    synonyms and split the model would predict something else than in its test. They are taken from
    the config's data set where it has these very classes.

    Args:
        metainfo: as :meth:`Vocabulary.from_metainfo` takes it.
        cfg: the config that the model was built from, if it is known.

    Raises:
        InputError: the metainfo makes no vocabulary.
    """
    given = Vocabulary.from_metainfo(metainfo)
    if cfg is None or set(metainfo) != {"classes", "palette"}:
        return given
    from zegclip.engine.preflight import iter_datasets  # (the engine imports this package)

    for loader in _LOADERS:
        for dataset in iter_datasets((cfg.get(loader) or {}).get("dataset")):
            kind = dataset.get("type")
            kind = DATASETS.get(kind) if isinstance(kind, str) else kind
            if not (isinstance(kind, type) and issubclass(kind, ZeroShotDataset)):
                continue
            own = kind.vocabulary_of(dataset)
            if own.classes == given.classes:
                return Vocabulary(own.classes, own.unseen, own.synonyms, own.setting, given.palette)
    return given
