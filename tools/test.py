#!/usr/bin/env python
"""Test a checkpoint with its config: table in the log, report.json in the work dir.

With --from-predictions, score label maps that any other system wrote, by the same protocol.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import Any

# So that the script runs from any folder, installed or not.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

import zegclip  # noqa: F401  (prepares the stack and registers everything)
from zegclip.engine.launch import find_checkpoint, load_config, make_parser, ready


def parse_args() -> tuple[argparse.Namespace, Config]:
    """The options, and the config with all of them applied."""
    config = "configs/tagclip_voc_inductive.py"
    parser = make_parser(
        __doc__ or "",
        f"python tools/test.py {config} work_dirs/tagclip_voc_inductive/iter_20000.pth\n"
        f"  python tools/test.py {config} --from-predictions path/to/pngs",
    )
    parser.add_argument("checkpoint", nargs="?", help="what tools/train.py wrote: a .pth file")
    parser.add_argument("--out", help="folder for the predicted label maps, as PNGs of class ids")
    parser.add_argument("--show-dir", help="folder for the images painted with prediction")
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
    if folder is None and args.checkpoint is None:
        parser.error("give a checkpoint, or predictions with --from-predictions DIR")
    if folder is not None and (args.checkpoint or args.out or args.show_dir):
        parser.error("--from-predictions goes without checkpoint, --out and --show-dir: no model")
    if folder is not None and args.launcher != "none":
        parser.error("--from-predictions runs in one process: leave --launcher out")
    cfg = load_config(args)

    if folder is not None:
        if args.work_dir is None:  # not the work dir of the config's own model
            cfg.work_dir += f"_from_{folder.resolve().name}"
        return args, cfg
    cfg.load_from = find_checkpoint(args.checkpoint)
    if args.out:
        hook = dict(type="SavePredictionsHook", out_dir=args.out)
        cfg.custom_hooks = [*cfg.get("custom_hooks", []), hook]
    if args.show_dir:
        cfg.default_hooks.visualization = dict(type="SegVisualizationHook", draw=True)
        cfg.visualizer.save_dir = args.show_dir
    return args, cfg


def score_folder(cfg: Config, folder: Path) -> None:
    """Table on the terminal, report.json in the work dir; no model is made."""
    from dataset_converters.parallel import progress
    from mmseg.registry import DATASETS
    from rich.console import Console

    from zegclip.evaluation import prediction_protocol, protocol_line, score_predictions
    from zegclip.evaluation.from_predictions import extra_note, refuse_other_report
    from zegclip.evaluation.report import write_report

    report = Path(cfg.work_dir) / "report.json"
    refuse_other_report(report, folder)
    init_default_scope(cfg.get("default_scope", "mmseg"))
    metric = find_metric(cfg)
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    console = Console(stderr=True, soft_wrap=True)
    bar = partial(progress, "predictions", total=len(dataset), console=console)
    extra = score_predictions(dataset, folder, metric, bar)
    protocol = prediction_protocol(dataset.metainfo, len(dataset), folder, Path(cfg.filename).stem)
    write_report(report, metric.summary or {}, protocol)
    if extra:
        print(f"note: {extra_note(extra)}", file=sys.stderr)
    print(protocol_line(protocol))
    print(f"numbers and protocol: {report}")


def find_metric(cfg: Config) -> Any:
    """The seen / unseen metric of the config's test."""
    from mmseg.registry import METRICS

    from zegclip.evaluation import ZeroShotIoUMetric

    evaluator = cfg.get("test_evaluator") or {}
    for config in evaluator if isinstance(evaluator, list) else [evaluator]:
        metric = METRICS.build(config)
        if isinstance(metric, ZeroShotIoUMetric):
            return metric
    raise SystemExit("error: the config's test_evaluator is no ZeroShotIoUMetric")


def main() -> None:
    """Check what is needed, then test."""
    args, cfg = parse_args()
    with ready(cfg, ["test"], data_only=args.from_predictions is not None):
        if args.from_predictions is not None:
            score_folder(cfg, args.from_predictions)
        else:
            Runner.from_cfg(cfg).test()


if __name__ == "__main__":
    main()
