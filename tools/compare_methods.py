#!/usr/bin/env python
"""The three methods side by side on the mini benchmark: same recipe, same budget, several seeds.

Trains every variant with every seed (tools/train.py, one process a run), after a search for each
method's learning rate that is equally long for all and uses a seed of its own. Finished runs are
kept, so that a stopped comparison goes on where it was. Writes docs/results/mini.json, which
tools/results_table.py shows in the README.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import zegclip  # noqa: F401  isort: skip  (first: prepares the stack)
import torch
from mmengine.config import Config
from rich.console import Console

from zegclip.compat import available_cores
from zegclip.engine.step_time import seconds_per_step
from zegclip.evaluation.report import code_version

RESULTS = ROOT / "docs" / "results" / "mini.json"
SCORES = ("pAcc", "mIoU_S", "mIoU_U", "hIoU")
# Of the search: no seed of the table.
SEARCH_SEED = 1000
SEARCH: list[dict[str, Any]] = [
    {"optim_wrapper.optimizer.lr": rate} for rate in (1e-3, 2e-3, 3e-3, 5e-3, 5e-4, 8e-3, 2.5e-4)
]
console = Console(soft_wrap=True)


@dataclass(frozen=True)
class Variant:
    """One row of the table.

    Attributes:
        method: whose ``configs/{method}_mini_inductive.py`` and whose searched settings it takes.
        title: what the table says.
        options: changes of the config, as ``--cfg-options`` takes them.
        leaks: whether training sees masks of unseen objects.
        published: mIoU(U) on PASCAL VOC 2012, inductive, in percent, as the paper reports it.
    """

    method: str
    title: str
    options: dict[str, Any] = field(default_factory=dict)
    leaks: bool = False
    published: float | None = None


VARIANTS = {
    "zegclip": Variant("zegclip", "ZegCLIP", published=77.8),
    "tagclip": Variant("tagclip", "TagCLIP", published=85.2),
    "tagclip_unseen_gt": Variant(
        "tagclip",
        "TagCLIP, trusty_target=unseen_gt",
        {
            "model.decode_head.trusty_target": "unseen_gt",
            "train_dataloader.dataset.pipeline.2.keep_unseen_map": True,
        },
        leaks=True,
    ),
    "ldvc": Variant("ldvc", "LDVC", published=82.3),
    "ldvc_without_lcsa": Variant(
        "ldvc", "LDVC without LCSA", {"model.decode_head.local_consensus": False}
    ),
    "ldvc_without_language_prompts": Variant(
        "ldvc", "LDVC without language prompts", {"model.text_encoder.num_prompts": 0}
    ),
}


@dataclass(frozen=True)
class Run:
    """One training: a config, its changes, a seed, and the folder that it fills."""

    name: str
    config: Path
    options: dict[str, Any]
    seed: int
    folder: Path

    @property
    def command(self) -> list[str]:
        """The command line, from the repository's root."""
        changes = [f"{key}={json.dumps(value)}" for key, value in self.options.items()]
        changes = [
            change.replace("=true", "=True").replace("=false", "=False") for change in changes
        ]
        return [
            "tools/train.py",
            str(self.config.relative_to(ROOT)),
            f"--seed={self.seed}",
            "--cfg-options",
            *(change.replace('"', "") for change in changes),
        ]

    def result(self) -> dict[str, Any] | None:
        """The scores, if this very run is finished."""
        try:
            asked = json.loads((self.folder / "command.json").read_text())
            report = json.loads((self.folder / "report.json").read_text())
        except (OSError, ValueError):
            return None
        if asked != self.command:
            return None
        if report["protocol"]["iteration"] != self.options["train_cfg.max_iters"]:
            return None
        return {"seed": self.seed} | {key: report[key] for key in SCORES}


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: python tools/compare_methods.py --variants zegclip ldvc --seeds 5",
    )
    parser.add_argument(
        "--variants",
        nargs="+",
        choices=VARIANTS,
        default=list(VARIANTS),
        metavar="NAME",
        help=f"of {', '.join(VARIANTS)} (default: all)",
    )
    parser.add_argument("--seeds", type=int, default=5, help="seeds 0 .. N-1 (default: 5)")
    parser.add_argument("--iterations", type=int, default=400, help="a run's (default: 400)")
    parser.add_argument(
        "--jobs", type=int, help="runs at a time (default: one a GPU, or one a core)"
    )
    parser.add_argument("--work-dir", type=Path, default=ROOT / "work_dirs" / "compare")
    parser.add_argument(
        "--out", type=Path, default=RESULTS, help=f"default: {RESULTS.relative_to(ROOT)}"
    )
    args = parser.parse_args(argv)
    for name in ("seeds", "iterations", "jobs"):
        if (value := getattr(args, name)) is not None and value < 1:
            parser.error(f"--{name} must be at least 1, got {value}")
    return args


def budget(iterations: int) -> dict[str, Any]:
    """The changes of the config that make every run equally long."""
    return {
        "train_cfg.max_iters": iterations,
        "train_cfg.val_interval": iterations,
        "default_hooks.checkpoint.interval": iterations,
        "train_dataloader.num_workers": 1,
    }


def mini_config(method: str) -> Path:
    """The config that a method's variants change."""
    return ROOT / "configs" / f"{method}_mini_inductive.py"


def search_runs(method: str, args: argparse.Namespace) -> list[Run]:
    """The runs that choose a method's settings."""
    return [
        Run(
            f"search {method} {index}",
            mini_config(method),
            budget(args.iterations) | candidate,
            SEARCH_SEED,
            args.work_dir.resolve() / f"search_{method}" / str(index),
        )
        for index, candidate in enumerate(SEARCH)
    ]


def chosen(method: str, args: argparse.Namespace) -> dict[str, Any]:
    """The candidate with the highest hIoU in a method's finished search."""
    scores = [run.result() for run in search_runs(method, args)]
    best = max(range(len(SEARCH)), key=lambda index: scores[index]["hIoU"])  # type: ignore[index]
    return SEARCH[best]


def final_runs(name: str, args: argparse.Namespace) -> list[Run]:
    """The runs of one row, after the search."""
    variant = VARIANTS[name]
    options = budget(args.iterations) | chosen(variant.method, args) | variant.options
    folder = args.work_dir.resolve() / name
    return [
        Run(name, mini_config(variant.method), options, seed, folder / f"seed_{seed}")
        for seed in range(args.seeds)
    ]


def execute(runs: list[Run], jobs: int) -> None:
    """Do what is not done yet, ``jobs`` at a time.

    Raises:
        SystemExit: a run failed; names its log. Those that were going on are finished before.
    """
    waiting = [run for run in runs if run.result() is None]
    if not waiting:
        return
    console.print(f"{len(runs) - len(waiting)} of {len(runs)} runs are there, {jobs} at a time")
    places: SimpleQueue[int] = SimpleQueue()
    for place in range(jobs):
        places.put(place)

    def one(run: Run) -> None:
        place = places.get()
        try:
            train(run, place)
        finally:
            places.put(place)
        console.print(f"{run.name}, seed {run.seed}: {line(run.result() or {})}")

    pool = ThreadPoolExecutor(jobs)
    futures: list[Future[None]] = [pool.submit(one, run) for run in waiting]
    try:
        for future in as_completed(futures):
            future.result()
    finally:  # after a failure or Ctrl-C no further run is begun
        pool.shutdown(cancel_futures=True)


def train(run: Run, place: int) -> None:
    """One run in a process of its own, on the GPU or the core ``place``."""
    run.folder.mkdir(parents=True, exist_ok=True)
    (run.folder / "report.json").unlink(missing_ok=True)
    (run.folder / "command.json").write_text(json.dumps(run.command))
    environment = dict(os.environ)
    if torch.cuda.is_available():
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        devices = (
            visible.split(",") if visible else list(map(str, range(torch.cuda.device_count())))
        )
        environment["CUDA_VISIBLE_DEVICES"] = devices[place % len(devices)]
    else:
        environment["OMP_NUM_THREADS"] = "1"
    script, config, *rest = run.command
    log = run.folder / "output.txt"
    with log.open("w") as output:
        code = subprocess.run(
            [sys.executable, script, config, "--work-dir", str(run.folder), *rest],
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        ).returncode
    if code or run.result() is None:
        raise SystemExit(f"error: {run.name}, seed {run.seed}, failed: see {log}")


def line(scores: dict[str, Any]) -> str:
    """Scores in a line of a terminal."""
    return "  ".join(f"{key} {scores[key]:.1f}" for key in SCORES if key in scores)


def summary(runs: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Mean and standard deviation (of a sample, n - 1) over the seeds, by score."""
    return {
        key: {
            "mean": statistics.fmean(run[key] for run in runs),
            "std": statistics.stdev(run[key] for run in runs) if len(runs) > 1 else 0.0,
        }
        for key in SCORES
    }


def learnable_parameters(run: Run) -> int:
    """How many numbers a run learned; its checkpoint holds nothing else."""
    checkpoint = torch.load(
        run.folder / f"iter_{run.options['train_cfg.max_iters']}.pth", weights_only=True
    )
    state = checkpoint["state_dict"]
    return sum(value.numel() for key, value in state.items() if key != "clip_fingerprint")


def timing(runs: dict[str, Run]) -> dict[str, float]:
    """Seconds of a training step of each variant, in turns, in this process; one CPU core."""
    configs = {}
    for name, run in runs.items():
        configs[name] = Config.fromfile(run.config)
        configs[name].merge_from_dict(run.options)
    torch.set_num_threads(1)
    return seconds_per_step(configs)


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    jobs = args.jobs or torch.cuda.device_count() or available_cores()
    methods = list(dict.fromkeys(VARIANTS[name].method for name in args.variants))

    console.rule("[bold]1. search[/] for each method's learning rate")
    execute([run for method in methods for run in search_runs(method, args)], jobs)
    for method in methods:
        console.print(f"{method}: {chosen(method, args)}")

    console.rule("[bold]2. runs[/] of the table")
    finals = {name: final_runs(name, args) for name in args.variants}
    # Seed by seed, so that a comparison that is stopped early has some of everything.
    execute([run for group in zip(*finals.values(), strict=True) for run in group], jobs)

    console.rule("[bold]3. time[/] of a step")
    seconds = timing({name: runs[0] for name, runs in finals.items()})

    results = {
        "command": shlex.join(["python", "tools/compare_methods.py", *(argv or sys.argv[1:])]),
        "code": code_version(),
        "iterations": args.iterations,
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "one CPU core",
        "search": {
            "seed": SEARCH_SEED,
            "chosen_by": "hIoU",
            "methods": {
                method: [
                    {"options": candidate} | (run.result() or {})
                    for candidate, run in zip(SEARCH, search_runs(method, args), strict=True)
                ]
                for method in methods
            },
        },
        "variants": {},
    }
    for name, runs in finals.items():
        variant = VARIANTS[name]
        scores = [run.result() or {} for run in runs]
        results["variants"][name] = {
            "title": variant.title,
            "command": shlex.join(["python", *runs[0].command]),
            "leaks": variant.leaks,
            "published_mIoU_U_on_VOC": variant.published,
            "learnable_parameters": learnable_parameters(runs[0]),
            "seconds_per_step": seconds[name],
            **summary(scores),
            "runs": scores,
        }
        console.print(
            f"{variant.title:<34}{line({k: v['mean'] for k, v in summary(scores).items()})}"
        )
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(results, indent=2) + "\n")
    console.print(f"written: {args.out}; into the README: python tools/results_table.py --write")
    return 0


if __name__ == "__main__":
    sys.exit(main())
