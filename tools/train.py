#!/usr/bin/env python
"""Train the model of a config: mmengine's Runner does the work."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path

import zegclip  # noqa: F401  (before torch: it says how threads wait)

# isort: split
from mmengine.config import Config
from mmengine.runner import Runner

from zegclip.compat import is_first_process
from zegclip.engine import start_up
from zegclip.engine.arguments import load_config, make_parser
from zegclip.engine.config_files import learns, use_mixed_precision
from zegclip.engine.launch import run
from zegclip.engine.resume import latest_checkpoint
from zegclip.errors import InputError


def parse_args() -> Namespace:
    """What was typed."""
    parser = make_parser(
        __doc__ or "", "python tools/train.py configs/tagclip_voc_inductive.py --amp"
    )
    parser.add_argument(
        "--resume", action="store_true", help="go on from the newest checkpoint in the work dir"
    )
    parser.add_argument(
        "--amp",
        action="store_true",
        help="mixed precision: optim_wrapper.dtype, or float16 on a GPU and bfloat16 on a CPU",
    )
    parser.add_argument(
        "--auto-scale-lr",
        action="store_true",
        help="scale the learning rate by batch x GPUs / the recipe's batch of 16",
    )
    parser.add_argument("--seed", type=int, help="of weights, data order and augmentation")
    parser.add_argument(
        "--deterministic", action="store_true", help="only reproducible algorithms (slower)"
    )
    args = parser.parse_args()
    if args.seed is not None and not 0 <= args.seed < 2**32:
        parser.error(f"--seed {args.seed} must be a number from 0 to 2**32 - 1")
    return args


def make_config(args: Namespace) -> Config:
    """The config with all arguments applied; of a resumed run with its checkpoint and seed.

    Raises:
        InputError: nothing of the model is learned, or an argument does not fit the config or the
            run that is resumed.
    """
    cfg = load_config(args)
    if not learns(cfg):
        raise InputError(
            f"{args.config}: nothing of this model is learned, so there is nothing to train; test "
            f"it as it is, without a checkpoint: python tools/test.py {args.config}"
        )
    if args.amp:
        use_mixed_precision(cfg)
    if args.auto_scale_lr:
        if "base_batch_size" not in (cfg.get("auto_scale_lr") or {}):
            raise InputError(
                f"--auto-scale-lr: {args.config} has no auto_scale_lr.base_batch_size to scale from"
            )
        cfg.auto_scale_lr.enable = True
    given = {"seed": args.seed, "deterministic": args.deterministic or None}
    given = {key: value for key, value in given.items() if value is not None}
    cfg.randomness = {"seed": None, **(cfg.get("randomness") or {}), **given}
    resume(cfg, args.resume or bool(cfg.get("resume")))
    return cfg


def resume(cfg: Config, wanted: bool) -> None:
    """Let a config go on from the newest checkpoint of its work dir, if it is to and there is one.

    Where it is not to, and its work dir holds a run, a warning says so.

    Raises:
        InputError: the seed is not the one that the run began with.
    """
    if is_first_process() and not wanted and Path(cfg.work_dir, "last_checkpoint").is_file():
        print(
            f"warning: {cfg.work_dir} holds a run's checkpoints already, which this run's will "
            "replace or lie beside: --resume goes on with it, --work-dir keeps them apart",
            file=sys.stderr,
        )
    latest = latest_checkpoint(cfg.work_dir) if wanted else None
    cfg.resume = latest is not None
    if latest is None:
        return
    cfg.load_from, seed = latest
    if seed is not None and cfg.randomness.seed not in (None, seed):
        raise InputError(
            "a run goes on with the settings that it began with; "
            f"seed ({seed} -> {cfg.randomness.seed}) would make it another one"
        )
    cfg.randomness.seed = cfg.randomness.seed if seed is None else seed


def main() -> None:
    """Check what is needed, then train."""
    cfg = make_config(parse_args())
    start_up.check(cfg, ["train", "val"] if cfg.get("val_dataloader") else ["train"])
    Runner.from_cfg(cfg).train()


if __name__ == "__main__":
    run(main)
