"""The arguments that training and testing have in common, and the config that they mean."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from mmengine.config import Config

from zegclip.errors import InputError

from .config_files import complete_config
from .config_options import ConfigOptions

# What a launcher leaves in the environment of the processes that it starts.
_STARTED_BY = {
    "pytorch": ("RANK", "torchrun, as tools/dist_train.sh and dist_test.sh do"),
    "slurm": ("SLURM_PROCID", "srun, as tools/slurm_train.sh does"),
}


def make_parser(description: str, example: str, runs: bool = True) -> argparse.ArgumentParser:
    """A parser with the options that training and testing have in common (mmseg's names).

    Args:
        description: one sentence.
        example: a command line, shown at the end of ``--help``.
        runs: False for a tool that only reads the config: without work dir and launcher.
    """
    parser = argparse.ArgumentParser(
        description=description,
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "config", help="config file; a relative path counts from here, then from the repository"
    )
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action=ConfigOptions,
        metavar="KEY=VALUE",
        help='override settings of the config, e.g. train_cfg.max_iters=100 or key="[a,b]"',
    )
    parser.add_argument(
        "--unseen", nargs="+", metavar="CLASS", help="another split: the unseen classes by name"
    )
    if not runs:
        parser.set_defaults(work_dir=None, launcher="none", local_rank=0)
        return parser
    parser.add_argument(
        "--work-dir", help="folder of logs, checkpoints, report (default: work_dirs/CONFIG_NAME)"
    )
    parser.add_argument(
        "--launcher",
        choices=["none", "pytorch", "slurm"],
        default="none",
        help="who started the processes (dist_train.sh and dist_test.sh say pytorch)",
    )
    parser.add_argument("--local_rank", "--local-rank", type=int, default=0, help=argparse.SUPPRESS)
    return parser


def load_config(args: argparse.Namespace, trains: bool = True) -> Config:
    """The config that the arguments of :func:`make_parser` mean, complete.

    Args:
        args: what was typed.
        trains: False for a test, in which options of the training are errors.

    Raises:
        InputError: there is no such config, or an option changes nothing that a run reads.
    """
    variable, starter = _STARTED_BY.get(args.launcher, (None, None))
    if variable and variable not in os.environ:
        raise InputError(f"--launcher {args.launcher}: start this program by {starter}")
    os.environ.setdefault("LOCAL_RANK", str(args.local_rank))
    cfg = complete_config(args.config, args.cfg_options, args.unseen, trains)
    cfg.launcher = args.launcher
    deterministic = getattr(args, "deterministic", False)
    if deterministic or (cfg.get("randomness") or {}).get("deterministic"):
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # CUDA's products ask for it
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get("work_dir") is None:
        cfg.work_dir = os.path.join("work_dirs", Path(cfg.filename).stem)
    return cfg
