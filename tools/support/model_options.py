"""Which model a program takes: options that several have."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from zegclip.engine.load_model import MINI_CHECKPOINT


def add_checkpoint(parser: ArgumentParser) -> Any:
    """Add ``--checkpoint`` and ``--mini``, of which one may be given; returns their group."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "--checkpoint", help="of the model (default: the load_from of a config that only tests)"
    )
    group.add_argument(
        "--mini",
        dest="checkpoint",
        action="store_const",
        const=MINI_CHECKPOINT,
        help="the mini model: no download, but it knows drawings alone",
    )
    return group
