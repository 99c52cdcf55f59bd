"""CONFIG CHECKPOINT pairs of a command line: checked, then loaded with their labelled test data."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

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
    """The arguments ``pairs``, ``titles``, ``unseen`` and ``cfg_options``."""
    parser.add_argument(
        "pairs",
        nargs="+",
        metavar="CONFIG CHECKPOINT",
        help="a config and what tools/train.py made of it; several pairs stand side by side",
    )
    parser.add_argument(
        "--titles", nargs="+", help="of the columns, one a pair (default: the configs' names)"
    )
    parser.add_argument(
        "--unseen",
        nargs="+",
        metavar="CLASS",
        help="the split of all pairs, as tools/train.py --unseen: the unseen classes by name",
    )
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action=ConfigOptions,
        metavar="KEY=VALUE",
        help="override settings of all configs, e.g. test_dataloader.dataset.data_root=PATH",
    )


def paired(parser: ArgumentParser, args: Namespace) -> list[tuple[str, str, str]]:
    """Title, config and checkpoint of each pair; ends the program where one is not complete."""
    configs, checkpoints = args.pairs[::2], args.pairs[1::2]
    if len(configs) != len(checkpoints):
        parser.error(f"a CHECKPOINT belongs to each CONFIG, but there are {len(args.pairs)} files")
    titles = args.titles or [Path(config).stem for config in configs]
    if len(titles) != len(configs):
        parser.error(f"--titles: {len(titles)} for {len(configs)} pairs")
    return list(zip(titles, configs, checkpoints))


def read_pair(config: str, checkpoint: str, args: Namespace) -> Config:
    """A config with the options and split of the arguments, and the checkpoint as ``load_from``.

    Raises:
        InputError: one of them is not there, or an option is not read.
    """
    cfg = complete_config(config, args.cfg_options, args.unseen)
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
