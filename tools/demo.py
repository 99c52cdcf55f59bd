#!/usr/bin/env python
"""The main job in miniature: train a method on seen classes, judge it on seen and unseen ones.

Runs configs/METHOD_mini_inductive.py on the mini benchmark, which needs no download and no GPU,
and writes report.json, the checkpoint and a sheet of pictures.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import zegclip  # noqa: F401  isort: skip  (first: prepares the stack)
from mmengine.config import Config, DictAction
from mmengine.runner import Runner
from rich.console import Console

from zegclip.engine import preflight
from zegclip.engine.launch import methods_with
from zegclip.visualization import images_with_unseen, prediction_sheet

METHODS = methods_with("mini")
RESULTS = ROOT / "docs" / "results" / "demo.json"
SCORES = {"pAcc": "pAcc", "mIoU_S": "mIoU(S)", "mIoU_U": "mIoU(U)", "hIoU": "hIoU"}
console = Console(soft_wrap=True)  # paths and commands stay in one piece


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: python tools/demo.py --method zegclip --work-dir work_dirs/zegclip_demo",
    )
    parser.add_argument("--method", choices=METHODS, default="tagclip")
    parser.add_argument("--work-dir", type=Path, help="default: work_dirs/demo[_METHOD]")
    parser.add_argument(
        "--setting",
        choices=("inductive", "supervised"),
        default="inductive",
        help="supervised: train on all classes, the ceiling of the other",
    )
    parser.add_argument(
        "--record",
        action="store_true",
        help=f"write the result to {RESULTS.relative_to(ROOT)}, which the README's table shows",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pictures", type=int, default=6, help="rows of the sheet")
    parser.add_argument(
        "--cfg-options", nargs="+", action=DictAction, help="as in tools/train.py: key=value ..."
    )
    args = parser.parse_args(argv)
    if args.record and args.cfg_options:
        parser.error("--record is for runs of the config as it is: leave --cfg-options out")
    return args


def default_work_dir(method: str, setting: str) -> Path:
    """``work_dirs/demo`` for the main job, a name of its own for every other."""
    parts = ["demo"]
    if method != "tagclip":
        parts.append(method)
    if setting != "inductive":
        parts.append(setting)
    return ROOT / "work_dirs" / "_".join(parts)


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    config = ROOT / "configs" / f"{args.method}_mini_{args.setting}.py"
    work_dir = (args.work_dir or default_work_dir(args.method, args.setting)).resolve()
    cfg = Config.fromfile(config)
    cfg.work_dir = str(work_dir)
    cfg.randomness = {"seed": args.seed}
    if args.cfg_options:
        cfg.merge_from_dict(args.cfg_options)
    preflight(cfg)

    relative = config.relative_to(ROOT)
    console.rule(f"[bold]1. training[/] {relative}")
    started = time.monotonic()
    runner = _quiet_runner(cfg)
    runner.train()
    minutes = (time.monotonic() - started) / 60

    console.rule("[bold]2. test[/] on seen and unseen classes")
    runner.test()
    report = json.loads((work_dir / "report.json").read_text())

    console.rule("[bold]3. pictures[/]")
    dataset = runner.test_dataloader.dataset
    runner.model.eval()
    indices = images_with_unseen(dataset, args.pictures)
    picture = work_dir / "predictions.png"
    prediction_sheet(runner.model, dataset, indices).save(picture)

    console.rule("[bold]result")
    console.print(_line(f"{args.method}, {args.setting}", report) + f"   ({minutes:.1f} min)")
    _print_ceiling(args.method, args.setting)
    console.print(f"report    {work_dir / 'report.json'}")
    console.print(f"pictures  {picture}  (unseen classes in red)")
    if args.setting == "inductive":
        _print_the_same_on_voc(args.method)
    if args.record:
        _record(args, report, minutes)
    return 0


def _quiet_runner(cfg: Config) -> Runner:
    """A runner that logs progress and results, without the pages about the environment."""
    cfg.log_level = "WARNING"
    runner = Runner.from_cfg(cfg)
    runner.logger.setLevel("INFO")
    for handler in runner.logger.handlers:
        handler.setLevel("INFO")
    return runner


def _line(name: str, scores: dict[str, float]) -> str:
    numbers = "  ".join(
        f"{label} [bold]{scores[key]:.1f}[/]" for key, label in SCORES.items() if key in scores
    )
    return f"{name:<24}{numbers}"


def _recorded() -> dict[str, dict[str, Any]]:
    return json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}


def _print_ceiling(method: str, setting: str) -> None:
    """The fully supervised run of the same model, as it was last recorded."""
    entry = _recorded().get(f"{method}_mini_supervised")
    if setting == "supervised":
        return
    if entry is None:
        command = f"python tools/demo.py --method {method} --setting supervised"
        console.print(f"[dim]no ceiling is recorded for {method} yet: {command}[/]")
        return
    console.print(_line(f"{method}, supervised", entry) + "   (the ceiling, recorded by)")
    console.print(f"{'':<24}[dim]{entry['command']}[/]")


def _record(args: argparse.Namespace, report: dict[str, Any], minutes: float) -> None:
    command = f"python tools/demo.py --method {args.method} --setting {args.setting} --record"
    if args.seed:
        command += f" --seed {args.seed}"
    entry = {key: report[key] for key in SCORES if key in report}
    entry |= {"minutes_of_training": round(minutes, 1), "seed": args.seed, "command": command}
    results = _recorded() | {f"{args.method}_mini_{args.setting}": entry}
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(dict(sorted(results.items())), indent=2) + "\n")


def _print_the_same_on_voc(method: str) -> None:
    console.print("\nThe same on PASCAL VOC 2012 with CLIP ViT-B/16:")
    console.print(f"  python tools/train.py configs/{method}_voc_inductive.py")
    console.print("  python tools/check_env.py   # says what of data and weights is missing")


if __name__ == "__main__":
    sys.exit(main())
