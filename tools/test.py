#!/usr/bin/env python
"""Test a checkpoint with its config: table in the log, report.json in the work dir.

With --from-predictions, score label maps that any other system wrote, by the same protocol.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import zegclip  # noqa: F401  (before torch: it says how threads wait)

# isort: split
from mmengine.config import Config
from mmengine.runner import Runner

from zegclip.datasets.from_config import iter_datasets
from zegclip.engine import start_up
from zegclip.engine.arguments import load_config, make_parser
from zegclip.engine.config_files import find_checkpoint, learns
from zegclip.engine.launch import run
from zegclip.evaluation.from_predictions import score_folder


def parse_args() -> tuple[argparse.Namespace, Config]:
    """The options, and the config with all of them applied."""
    config = "configs/tagclip_voc_inductive.py"
    parser = make_parser(
        __doc__ or "",
        f"python tools/test.py {config} work_dirs/tagclip_voc_inductive/iter_20000.pth\n"
        f"  python tools/test.py configs/training_free_voc.py\n"
        f"  python tools/test.py {config} --from-predictions path/to/pngs",
    )
    parser.add_argument(
        "checkpoint",
        nargs="?",
        help="what tools/train.py wrote: a .pth file (a training_free config has none)",
    )
    parser.add_argument("--out", help="folder for the predicted label maps, as PNGs of class ids")
    parser.add_argument("--show-dir", help="folder for the images painted with prediction")
    parser.add_argument(
        "--tta",
        action="store_true",
        help="average over flips and sizes (the config's tta_pipeline)",
    )
    parser.add_argument(
        "--from-predictions",
        type=Path,
        metavar="DIR",
        help="instead of a checkpoint: a folder of index PNGs named after the images, values "
        '0..C-1 in class order, 255 for "no class" (counts as wrong); the report goes to '
        "work_dirs/CONFIG_from_DIR",
    )
    args = parser.parse_args()
    folder = args.from_predictions
    if folder is not None and (args.checkpoint or args.out or args.show_dir or args.tta):
        parser.error("--from-predictions goes without a checkpoint and its options: no model")
    if folder is not None and args.launcher != "none":
        parser.error("--from-predictions runs in one process: leave --launcher out")
    if args.show_dir and args.launcher != "none":  # (mmseg draws on the first process alone)
        parser.error("--show-dir draws in one process: leave --launcher out")
    cfg = load_config(args, trains=False)
    if folder is None and args.checkpoint is None and learns(cfg):
        parser.error("give a checkpoint, or predictions with --from-predictions DIR")
    if folder is not None:
        if args.work_dir is None:  # not the work dir of the config's own model
            cfg.work_dir += f"_from_{folder.resolve().name}"
        return args, cfg
    cfg.load_from = args.checkpoint and find_checkpoint(args.checkpoint)
    cfg.resume = False
    if args.out:
        metrics = cfg.test_evaluator
        (metrics if isinstance(metrics, dict) else metrics[0])["output_dir"] = args.out
    if args.show_dir:
        cfg.default_hooks.visualization = dict(type="SegVisualizationHook", draw=True)
        cfg.visualizer.save_dir = args.show_dir
    return args, cfg


def main() -> None:
    """Check what is needed, then test."""
    args, cfg = parse_args()
    start_up.check(cfg, ["test"], data_only=args.from_predictions is not None)
    if args.from_predictions is not None:
        score_folder(cfg, args.from_predictions)
    else:
        if args.out:  # (one process alone makes it in mmseg's metrics, and the others are faster)
            Path(args.out).mkdir(parents=True, exist_ok=True)
        if args.tta:
            for dataset in iter_datasets(cfg.test_dataloader.dataset):
                dataset["pipeline"] = cfg.tta_pipeline
            own = cfg.model.get("data_preprocessor") or cfg.get("data_preprocessor")
            inner = dict(module=cfg.model, data_preprocessor=own)
            cfg.model = dict(cfg.tta_model, **inner)
        Runner.from_cfg(cfg).test()


if __name__ == "__main__":
    run(main)
