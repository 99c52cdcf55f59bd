#!/usr/bin/env python
"""Test a checkpoint with its config: table in the log, report.json in the work dir."""

from __future__ import annotations

import sys
from pathlib import Path

# So that the script runs from any folder, installed or not.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from mmengine.config import Config
from mmengine.runner import Runner

import zegclip  # noqa: F401  (prepares the stack and registers everything)
from zegclip.engine.launch import find_checkpoint, load_config, make_parser, ready


def parse_args() -> Config:
    """The config with all options applied."""
    config = "configs/tagclip_voc_inductive.py"
    parser = make_parser(
        __doc__ or "",
        f"python tools/test.py {config} work_dirs/tagclip_voc_inductive/iter_20000.pth",
    )
    parser.add_argument("checkpoint", help="what tools/train.py wrote: a .pth file")
    parser.add_argument("--out", help="folder for the predicted label maps, as PNGs of class ids")
    parser.add_argument("--show-dir", help="folder for the images painted with prediction")
    args = parser.parse_args()
    cfg = load_config(args)

    cfg.load_from = find_checkpoint(args.checkpoint)
    if args.out:
        hook = dict(type="SavePredictionsHook", out_dir=args.out)
        cfg.custom_hooks = [*cfg.get("custom_hooks", []), hook]
    if args.show_dir:
        cfg.default_hooks.visualization = dict(type="SegVisualizationHook", draw=True)
        cfg.visualizer.save_dir = args.show_dir
    return cfg


def main() -> None:
    """Check what is needed, then test."""
    cfg = parse_args()
    with ready(cfg, ["test"]):
        Runner.from_cfg(cfg).test()


if __name__ == "__main__":
    main()
