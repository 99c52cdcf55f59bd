#!/usr/bin/env python
"""Test a checkpoint with its config: table in the log, report.json in the work dir.

With --from-predictions, score the label maps of any other system by the same protocol: a folder of
PNGs named after the images, label ids 0..C-1 in the data set's class order (255: no class). Needs
neither a checkpoint nor CLIP weights.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

# So that the script runs from any folder, installed or not.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

import zegclip  # noqa: F401  isort: skip  (prepares the stack and registers everything)
from mmseg.registry import DATASETS
from rich.progress import track

from zegclip.engine.launch import find_checkpoint, load_config, make_parser, ready
from zegclip.evaluation import (
    data_protocol,
    protocol_fingerprint,
    protocol_line,
    render_scores,
    write_report,
)
from zegclip.evaluation.from_predictions import find_predictions, score_predictions
from zegclip.evaluation.report import code_version


def parse_args() -> tuple[Config, argparse.Namespace]:
    """The config with all options applied, and the arguments."""
    config = "configs/tagclip_voc_inductive.py"
    parser = make_parser(
        __doc__ or "",
        f"python tools/test.py {config} work_dirs/tagclip_voc_inductive/iter_20000.pth",
    )
    parser.add_argument("checkpoint", nargs="?", help="what tools/train.py wrote: a .pth file")
    parser.add_argument(
        "--from-predictions", metavar="DIR", help="score the label maps there instead of a model"
    )
    parser.add_argument("--out", help="folder for the predicted label maps, as PNGs of class ids")
    parser.add_argument("--show-dir", help="folder for the images painted with prediction")
    args = parser.parse_args()
    if (args.checkpoint is None) == (args.from_predictions is None):
        parser.error("give a checkpoint, or --from-predictions DIR (and not both)")
    if args.from_predictions and (args.out or args.show_dir):
        parser.error("--out and --show-dir are for models")
    cfg = load_config(args)
    if args.from_predictions:
        return cfg, args

    cfg.load_from = find_checkpoint(args.checkpoint)
    if args.out:
        hook = dict(type="SavePredictionsHook", out_dir=args.out)
        cfg.custom_hooks = [*cfg.get("custom_hooks", []), hook]
    if args.show_dir:
        cfg.default_hooks.visualization = dict(type="SegVisualizationHook", draw=True)
        cfg.visualizer.save_dir = args.show_dir
    return cfg, args


def score(cfg: Config, folder: str) -> None:
    """Score a folder of predictions, with table and report as of a model."""
    init_default_scope("mmseg")
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    predictions = find_predictions(folder, dataset)
    summary = score_predictions(predictions, dataset, lambda indices: track(indices, "scoring"))
    print(render_scores(summary))
    protocol = data_protocol(dataset.metainfo, len(dataset))
    protocol |= {
        "predictions": Path(folder).resolve().name,
        "stage": "predictions",
        "config": Path(cfg.filename).stem,
        "code": code_version(),
    }
    protocol["fingerprint"] = protocol_fingerprint(protocol)
    path = Path(cfg.work_dir) / "predictions_report.json"
    write_report(path, summary, protocol)
    print(protocol_line(protocol))
    print(f"numbers and protocol: {path}")


def main() -> None:
    """Check what is needed, then test."""
    cfg, args = parse_args()
    if args.from_predictions:
        cfg.pop("model", None)
        with ready(cfg, ["test"]):
            score(cfg, args.from_predictions)
        return
    with ready(cfg, ["test"]):
        Runner.from_cfg(cfg).test()


if __name__ == "__main__":
    main()
