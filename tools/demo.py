#!/usr/bin/env python
"""The main job in miniature: train a method on seen classes, judge it on seen and unseen ones.

Runs configs/METHOD_mini_inductive.py on the mini benchmark, which needs no download and no GPU,
and writes report.json, the checkpoint and a sheet of pictures.

example: python tools/demo.py --method zegclip --work-dir work_dirs/zegclip_demo
"""

from __future__ import annotations

import json
import time
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from pathlib import Path
from typing import Any

import zegclip  # noqa: F401  (before torch: it says how threads wait)

# isort: split
from mmengine.config import Config
from mmengine.runner import Runner
from results_table import read, record
from rich.console import Console
from rich.table import Table

from zegclip.engine.config_files import methods_with
from zegclip.engine.config_options import ConfigOptions, apply_options
from zegclip.engine.launch import run
from zegclip.evaluation import COLUMNS
from zegclip.files import PROJECT_ROOT
from zegclip.visualization import FIGURES, Method, images_with

console = Console(soft_wrap=True)  # paths and commands stay in one piece


def parse_args(argv: list[str] | None = None) -> Namespace:
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--method", choices=methods_with("mini"), default="tagclip")
    parser.add_argument(
        "--setting",
        choices=("inductive", "supervised"),
        default="inductive",
        help="supervised: train on all classes, the ceiling of the other",
    )
    parser.add_argument("--work-dir", type=Path, help="default: work_dirs/demo[_METHOD][_SETTING]")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pictures", type=int, default=6, help="rows of the sheet")
    parser.add_argument("--cfg-options", nargs="+", action=ConfigOptions, metavar="KEY=VALUE")
    parser.add_argument("--record", action="store_true", help="into docs/ and the README")
    args = parser.parse_args(argv)
    if args.record and args.cfg_options:
        parser.error("--record is for runs of the config as it is: leave --cfg-options out")
    usual = {"method": "tagclip", "setting": "inductive"}
    names = [getattr(args, key) for key, value in usual.items() if getattr(args, key) != value]
    folder = PROJECT_ROOT / "work_dirs" / "_".join(["demo", *names])
    args.work_dir = (args.work_dir or folder).resolve()
    return args


def show(name: str, entry: dict[str, Any]) -> None:
    """This run beside what was recorded of its method."""
    method = name.partition("_")[0]
    recorded = {key: row for key, row in read("demo").items() if key.startswith(method)}
    table = Table("", *COLUMNS.values(), "minutes")
    for key, row in {f"{name}, now": entry, **recorded}.items():
        numbers = [f"{row[score]:.1f}" for score in (*COLUMNS, "minutes_of_training")]
        table.add_row(key + (", recorded" if key in recorded else ""), *numbers)
    console.print(table)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    name = f"{args.method}_mini_{args.setting}"
    cfg = Config.fromfile(PROJECT_ROOT / "configs" / f"{name}.py")
    cfg.work_dir, cfg.randomness = str(args.work_dir), {"seed": args.seed}
    apply_options(cfg, args.cfg_options)

    console.rule(f"[bold]1. training[/] configs/{name}.py")
    started = time.monotonic()
    cfg.log_level = "WARNING"  # without the pages about the environment
    runner = Runner.from_cfg(cfg)
    for log in (runner.logger, *runner.logger.handlers):
        log.setLevel("INFO")
    runner.train()
    minutes = round((time.monotonic() - started) / 60, 1)

    console.rule("[bold]2. test[/] on seen and unseen classes")
    runner.test()
    report = json.loads((args.work_dir / "report.json").read_text(encoding="utf-8"))
    command = f"python tools/demo.py --method {args.method} --setting {args.setting} --record"
    entry = {key: report[key] for key in COLUMNS} | {
        "minutes_of_training": minutes,
        "seed": args.seed,
        "command": command + (f" --seed {args.seed}" if args.seed else ""),
    }

    console.rule("[bold]3. pictures[/]")
    dataset = runner.test_dataloader.dataset
    picture = args.work_dir / "predictions.png"
    method = Method("Prediction", runner.model, dataset, images_with(dataset, args.pictures))
    figure = FIGURES.get("predictions")([method], with_extra_maps=True)
    figure.savefig(picture, bbox_inches="tight")

    console.rule("[bold]result")
    show(name, entry)
    console.print(f"report    {args.work_dir / 'report.json'}")
    console.print(f"pictures  {picture}  (unseen classes in red)")
    config = f"configs/{args.method}_voc_{args.setting}.py"
    if (PROJECT_ROOT / config).is_file():  # (a new method may have none yet)
        console.print("\nThe same on PASCAL VOC 2012 with CLIP ViT-B/16:")
        console.print(f"  python tools/train.py {config}")
        console.print("  python tools/check_env.py   # says what of data and weights is missing")
    if args.record:
        record("demo", dict(sorted({**read("demo"), name: entry}.items())))


if __name__ == "__main__":
    run(main)
