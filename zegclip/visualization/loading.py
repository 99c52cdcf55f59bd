"""From CONFIG CHECKPOINT pairs to the methods of a figure; everything is checked before work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS, MODELS

from zegclip.engine.launch import find_checkpoint, find_config, methods_with
from zegclip.engine.load_model import load_model
from zegclip.engine.preflight import preflight
from zegclip.engine.vocabulary_hook import check_not_trained
from zegclip.errors import InputError
from zegclip.files import PROJECT_ROOT
from zegclip.heads import CONSENSUS, TRUST, ZeroShotHead
from zegclip.vocabulary import Vocabulary, check_known

from .choice import images_named
from .method import Method

# As the papers write their methods; another method is called as its configs are.
TITLES = {"zegclip": "ZegCLIP", "tagclip": "TagCLIP", "ldvc": "LDVC"}
LACKS = {TRUST: "no trusty map", CONSENSUS: "no attention among regions"}


@dataclass(frozen=True)
class Source:
    """A config and a checkpoint, found and read, before anything is built.

    Attributes:
        path: of the config.
        cfg: the config.
        checkpoint: path or URL.
        title: of the figure's column.
    """

    path: Path
    cfg: Config
    checkpoint: str
    title: str

    @property
    def vocabulary(self) -> Vocabulary:
        """That of the config's test data, without looking for its files."""
        dataset = self.cfg.test_dataloader.dataset
        return DATASETS.get(dataset.type).vocabulary_of(dataset)


def find_sources(
    pairs: Sequence[tuple[str, str]],
    titles: Sequence[str] | None = None,
    options: Mapping[str, Any] | None = None,
) -> list[Source]:
    """Find configs and checkpoints, and what they need.

    Args:
        pairs: of a config and a checkpoint, as the tools take them.
        titles: of the columns; default: the methods' names, with as much more as tells them apart.
        options: changes of all configs (``--cfg-options``).

    Raises:
        SystemExit: a file, CLIP weights or data are not there.
        InputError: a config has no test data, or they do not show the same classes.
    """
    paths = [find_config(config) for config, _ in pairs]
    checkpoints = [find_checkpoint(checkpoint) for _, checkpoint in pairs]
    titles = list(titles or _default_titles(paths, checkpoints))
    sources = []
    for path, checkpoint, title in zip(paths, checkpoints, titles, strict=True):
        cfg = Config.fromfile(path)
        cfg.merge_from_dict(dict(options or {}))
        cfg.load_from = None  # what is loaded is the argument
        init_default_scope(cfg.get("default_scope") or "mmseg")
        dataset = (cfg.get("test_dataloader") or {}).get("dataset") or {}
        if not hasattr(DATASETS.get(str(dataset.get("type"))), "vocabulary_of"):
            raise InputError(
                f"{path.stem}: a figure needs a test_dataloader whose dataset is a ZeroShotDataset "
                f"(here: {dataset.get('type')})"
            )
        preflight(cfg, ["test"])
        sources.append(Source(path, cfg, checkpoint, title))
    first = sources[0]
    for source in sources[1:]:
        if source.vocabulary.classes != first.vocabulary.classes:
            raise InputError(
                f"{first.path.stem} and {source.path.stem} have other classes "
                f"({len(first.vocabulary.classes)} and {len(source.vocabulary.classes)}): methods "
                "side by side need configs of one data set"
            )
    return sources


def _default_titles(paths: Sequence[Path], checkpoints: Sequence[str]) -> list[str]:
    methods = [path.stem.partition("_")[0] for path in paths]
    names = [TITLES.get(method, method) for method in methods]
    for candidates in (
        names,
        [path.stem for path in paths],
        [f"{name}, {Path(file).stem}" for name, file in zip(names, checkpoints)],
        [f"{name}, {Path(file).parent.name}" for name, file in zip(names, checkpoints)],
    ):
        if len(set(candidates)) == len(candidates):
            return candidates
    return [f"{name} ({number})" for number, name in enumerate(names, start=1)]


def check_shows(sources: Sequence[Source], figure: str) -> None:
    """Refuse a figure that a config's head has not.

    Args:
        sources: all whose heads must have it.
        figure: ``TRUST`` or ``CONSENSUS``.

    Raises:
        InputError: names the config, and those that have the figure.
    """
    for source in sources:
        if not _shows(source.cfg, figure):
            ending = "_".join(source.path.stem.split("_")[1:])
            having = _configs_with(figure, ending) or _configs_with(figure, "voc_inductive")
            raise InputError(
                f"{source.path.stem}: its head, {source.cfg.model.decode_head.type}, has "
                f"{LACKS[figure]}; configs that have one: {', '.join(having) or 'none'}"
            )


def _shows(cfg: Config, figure: str) -> bool:
    head = MODELS.get(cfg.model.decode_head.type)
    return isinstance(head, type) and issubclass(head, ZeroShotHead) and figure in head.figures


def _configs_with(figure: str, ending: str) -> list[str]:
    data = ending.partition("_")[0]
    names = [f"configs/{method}_{ending}.py" for method in methods_with(data)]
    return [
        name
        for name in names
        if (PROJECT_ROOT / name).is_file() and _shows(Config.fromfile(PROJECT_ROOT / name), figure)
    ]


def check_classes(sources: Sequence[Source], classes: Sequence[str]) -> None:
    """Refuse names of classes that the data set has not.

    Raises:
        InputError: says which class may have been meant.
    """
    check_known(classes, sources[0].vocabulary.classes, "--classes")


def build_datasets(sources: Sequence[Source]) -> list[Any]:
    """The test data sets; images are drawn from the first one.

    Raises:
        InputError: a data set has no labels.
    """
    datasets = []
    for source in sources:
        dataset = DATASETS.build(source.cfg.test_dataloader.dataset)
        if "seg_map_path" not in dataset.get_data_info(0):
            raise InputError(
                f"{source.path.stem}: its test data has no labels (data_prefix.seg_map_path), and "
                "a figure shows the ground truth; to draw photographs use tools/image_demo.py"
            )
        datasets.append(dataset)
    return datasets


def load_methods(
    sources: Sequence[Source],
    datasets: Sequence[Any],
    names: Sequence[str],
    device: torch.device,
) -> list[Method]:
    """The models, ready to predict the chosen images.

    Args:
        sources: from :func:`find_sources`.
        datasets: from :func:`build_datasets`.
        names: of the images, without suffix.
        device: where the models go.

    Raises:
        InputError: a checkpoint cannot be read, or is of another model.
        InputError: a model was trained on what its config calls unseen.
        InputError: a data set lacks an image of the first one.
    """
    methods = []
    for source, dataset in zip(sources, datasets, strict=True):
        indices = images_named(dataset, names)
        model = load_model(source.cfg, source.checkpoint, device)
        if model.dataset_meta is not None:
            check_not_trained(model.dataset_meta, dataset.metainfo)
        model.dataset_meta = dataset.metainfo
        methods.append(Method(source.title, model, dataset, indices))
    return methods


def check_consensus(methods: Sequence[Method]) -> None:
    """Refuse pairs that a figure with and without LCSA would mislabel.

    Args:
        methods: one with attention among regions and, if there are two, one without.

    Raises:
        InputError: says which is wrong.
    """
    if not _has_regions(methods[0]):
        raise InputError(
            f"{methods[0].title}: its model has local_consensus=False, so no region attends to "
            "another; give a model trained with it first, and this one second"
        )
    for method in methods[1:]:
        if _has_regions(method):
            raise InputError(
                f"{method.title}: the second CONFIG CHECKPOINT pair is to be of a model trained "
                "without LCSA (model.decode_head.local_consensus=False), but this one has it; "
                "leave the pair out to switch LCSA off in the first model"
            )


def _has_regions(method: Method) -> bool:
    try:
        with method.model.decode_head.without_region_attention():
            return True
    except InputError:
        return False
