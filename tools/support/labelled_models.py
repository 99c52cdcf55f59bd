"""CONFIG CHECKPOINT pairs of a command line: checked, then loaded with their labelled test data."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS

from zegclip.datasets import ZeroShotDataset
from zegclip.engine import check_test, start_up, trained_on
from zegclip.engine.config_files import complete_config, find_checkpoint
from zegclip.engine.config_options import ConfigOptions
from zegclip.engine.load_model import checkpoint_meta, choose_device, load_model
from zegclip.errors import InputError
from zegclip.segmentors import ZeroShotSegmentor


def add_pairs(parser: ArgumentParser) -> None:
    """The arguments ``pairs`` and ``cfg_options``."""
    parser.add_argument(
        "pairs",
        nargs="+",
        metavar="CONFIG CHECKPOINT",
        help="a config and what tools/train.py made of it; several pairs stand side by side",
    )
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action=ConfigOptions,
        metavar="KEY=VALUE",
        help="override settings of all configs, e.g. test_dataloader.dataset.data_root=PATH",
    )


def paired(parser: ArgumentParser, files: Sequence[str]) -> list[tuple[str, str]]:
    """The pairs; ends the program where one is not complete."""
    if len(files) % 2:
        parser.error(f"a CHECKPOINT belongs to each CONFIG, but there are {len(files)} files")
    return list(zip(files[::2], files[1::2]))


def read_pair(config: str, checkpoint: str, options: Mapping[str, Any] | None) -> Config:
    """A config, with the checkpoint as its ``load_from``.

    Raises:
        InputError: one of them is not there, or an option is not read.
    """
    cfg = complete_config(config, options)
    cfg.load_from = find_checkpoint(checkpoint)
    init_default_scope(cfg.get("default_scope") or "mmseg")
    return cfg


def labelled_data(config: str, cfg: Config) -> ZeroShotDataset:
    """The config's test data; ``InputError`` if it is not there or has no labels."""
    start_up.check(cfg, ["test"])
    dataset = cfg.get("test_dataloader") and DATASETS.build(cfg.test_dataloader.dataset)
    if not isinstance(dataset, ZeroShotDataset) or "seg_map_path" not in dataset.get_data_info(0):
        raise InputError(
            f"{config}: this needs a test_dataloader with a ZeroShotDataset and its labels; to "
            "draw photographs use tools/image_demo.py"
        )
    return dataset


def load(cfg: Config, dataset: ZeroShotDataset) -> ZeroShotSegmentor:
    """The model of :func:`read_pair`, with the data's vocabulary.

    Raises:
        InputError: its split is not the one that it was trained with, or it cannot be loaded.
    """
    check_test(trained_on(checkpoint_meta(cfg.load_from)), dataset.metainfo)
    model = load_model(cfg, cfg.load_from, choose_device(None))
    model.dataset_meta = dataset.metainfo
    return model
