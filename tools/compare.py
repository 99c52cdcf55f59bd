#!/usr/bin/env python
"""Train many runs one after the other on the mini benchmark, and put them into one table.

`methods`: every method and its ablations with the same recipe, budget and seeds. Before that, each
method's learning rate is searched over the same values by mIoU(S), on scenes and a seed of their
own; an ablation takes its method's. `settings`: inductive, then transductive (both protocols) from
that run's checkpoint at half the schedule, and with --supervised the ceiling.

Each run is a `tools/train.py`. Runs that are there, finished and trained alike are skipped, so the
same command goes on where it was stopped. Writes WORK_DIR/results.json; with --record also
docs/results and docs/comparison.md.

example: python tools/compare.py methods --methods zegclip ldvc --seeds 5
"""

from __future__ import annotations

import json
import shlex
import statistics
import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from get_flops import build_model, learnable_parameters
from results_table import DATA, SETTINGS, mean_std, published, read, record, title
from support.markdown_table import markdown
from support.training_run import TrainingRun, train_all, train_groups

from zegclip.engine.launch import methods_with, run
from zegclip.evaluation import COLUMNS
from zegclip.files import PROJECT_ROOT, replacing

RATE = "optim_wrapper.optimizer.lr"
RATES = (1e-3, 2e-3, 3e-3, 5e-3, 5e-4, 8e-3, 2.5e-4)
SEARCH_SEED = 1000  # none of the table's
# Scenes that no table is made of: see MiniSceneDataset.
SEARCH_SCENES = {"val_dataloader.dataset.split": "selection"}


@dataclass(frozen=True)
class Variant:
    """One row of the table of methods.

    Attributes:
        method: whose ``configs/{method}_mini_inductive.py`` and whose learning rate it takes.
        title: what the table says.
        options: changes of the config, as ``--cfg-options`` takes them.
        leaks: whether training sees masks of unseen objects.
    """

    method: str
    title: str
    options: dict[str, Any] = field(default_factory=dict)
    leaks: bool = False


ABLATIONS = {
    "tagclip_unseen_gt": Variant(
        "tagclip",
        "TagCLIP, trusty_target=unseen_gt",
        {
            "model.decode_head.trusty_target": "unseen_gt",
            "train_dataloader.dataset.pipeline.2.keep_unseen_map": True,
        },
        leaks=True,
    ),
    "ldvc_without_lcsa": Variant(
        "ldvc", "LDVC without LCSA", {"model.decode_head.decoder.local_consensus": False}
    ),
    "ldvc_without_language_prompts": Variant(
        "ldvc", "LDVC without language prompts", {"model.text_encoder.num_prompts": 0}
    ),
}
METHODS = methods_with("mini")
VARIANTS = {
    name: variant
    for method in METHODS
    for name, variant in {method: Variant(method, title(method)), **ABLATIONS}.items()
    if variant.method == method
}


def compare_methods(args: Namespace) -> dict[str, Any]:
    """The search for each method's learning rate, then the runs of the table."""
    length = args.iterations or 400
    budget = {
        "train_cfg.max_iters": length,
        "train_cfg.val_interval": length,
        "default_hooks.checkpoint.interval": length,
        "default_hooks.logger.interval": min(20, length),
        "train_dataloader.num_workers": 1,
    }
    root = args.work_dir / f"{length}_iterations"
    variants = {name: v for name, v in VARIANTS.items() if v.method in args.methods}
    searches: dict[str, list[dict[str, Any]]] = {}
    chosen: dict[str, float] = {}
    recorded = read("mini")["variants"] if args.recorded_rates else {}
    for method in args.methods:
        if method in recorded:
            chosen[method] = recorded[method]["settings"][RATE]
            continue
        name, options = f"configs/{method}_mini_inductive.py", budget | SEARCH_SCENES
        folder = root / f"search_{method}"
        found = train_all(
            [
                TrainingRun(name, SEARCH_SEED, options | {RATE: rate}, folder / f"lr_{rate}")
                for rate in RATES
            ]
        )
        searches[method] = [{"options": {RATE: r}} | f for r, f in zip(RATES, found, strict=True)]
        # Unseen classes have no say: whoever trains on seen classes has no masks of them.
        chosen[method] = max(zip(RATES, found), key=lambda pair: pair[1]["mIoU_S"])[0]
        print(f"{method}: learning rate {chosen[method]}")
    settings = {name: {RATE: chosen[v.method]} | v.options for name, v in variants.items()}
    finals = {
        name: [
            TrainingRun(
                f"configs/{variant.method}_mini_inductive.py",
                seed,
                budget | settings[name],
                root / name / f"seed_{seed}",
            )
            for seed in range(args.seeds)
        ]
        for name, variant in variants.items()
    }
    rows = {}
    for name, records in train_groups(finals).items():
        variant, runs = variants[name], finals[name]
        paper = published(variant.method, "inductive", DATA["voc"])
        model, _ = build_model(runs[0].resolved())
        rows[name] = {
            "title": variant.title,
            "leaks": variant.leaks,
            "published_mIoU_U_on_VOC": paper["mIoU_U"] if paper and not variant.options else None,
            "settings": settings[name],
            "learnable_parameters": learnable_parameters(model)["total"],
            "seconds_per_step": statistics.median(each.seconds_per_step() for each in runs),
            "runs": records,
        }
    return {
        "iterations": length,
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "one CPU core",
        "search": {"chosen_by": "mIoU_S", "scenes": SEARCH_SCENES, "methods": searches},
        "variants": rows,
    }


def compare_settings(args: Namespace) -> dict[str, Any]:
    """Each setting after the one that it starts from."""
    rows = {}
    for setting in SETTINGS:
        if setting == "supervised" and not args.supervised:
            continue
        runs = {
            f"{method}_mini_{setting}": [
                setting_run(method, setting, seed, args) for seed in range(args.seeds)
            ]
            for method in args.methods
        }
        for name, records in train_groups(runs).items():
            method = name.removesuffix(f"_mini_{setting}")
            rows[name] = {"method": method, "setting": setting, "runs": records}
    order = {name: args.methods.index(row["method"]) for name, row in rows.items()}
    return {"rows": {name: rows[name] for name in sorted(rows, key=lambda name: order[name])}}


def setting_run(method: str, setting: str, seed: int, args: Namespace) -> TrainingRun:
    """One run; a transductive one starts from the inductive one of its method and seed."""
    options, root = {}, args.work_dir
    if args.iterations:
        halved = setting.startswith("transductive")
        options["train_cfg.max_iters"] = args.iterations // 2 if halved else args.iterations
        root /= f"{args.iterations}_iterations"
    name = f"{method}_mini_{setting}"
    start = None
    if setting.startswith("transductive"):
        base = setting_run(method, "inductive", seed, args)
        start = base.folder / f"iter_{base.resolved().train_cfg.max_iters // 2}.pth"
    folder = root / name / f"seed_{seed}"
    return TrainingRun(f"configs/{name}.py", seed, options, folder, start)


def parse_args(argv: list[str] | None = None) -> Namespace:
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["methods", "settings"])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--seeds", type=int, help="seeds 0 .. N-1 (default: 5, of settings 3)")
    parser.add_argument("--iterations", type=int, help="default: 400, of settings the config's")
    parser.add_argument("--supervised", action="store_true", help="settings: the ceiling as well")
    parser.add_argument(
        "--recorded-rates", action="store_true", help="methods: those of docs/results, no search"
    )
    parser.add_argument("--work-dir", type=Path, help="default: work_dirs/compare_WHAT")
    parser.add_argument("--record", action="store_true", help="into docs/")
    args = parser.parse_args(argv)
    if args.record and (args.methods != METHODS or args.iterations or args.recorded_rates):
        parser.error("--record is for all methods in their usual length and with their search")
    for name in ("seeds", "iterations"):
        if (number := getattr(args, name)) is not None and number < 1:
            parser.error(f"--{name} {number}: at least one")
    if args.supervised and args.what == "methods":
        parser.error("--supervised is a setting: python tools/compare.py settings --supervised")
    args.seeds = args.seeds or {"methods": 5, "settings": 3}[args.what]
    args.work_dir = (args.work_dir or PROJECT_ROOT / f"work_dirs/compare_{args.what}").resolve()
    return args


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    typed = sys.argv[1:] if argv is None else argv
    results = {"methods": compare_methods, "settings": compare_settings}[args.what](args)
    results = {"command": shlex.join(["python", "tools/compare.py", *typed]), **results}
    # Where the folder of runs is, is nobody's business.
    text = json.dumps(results, indent=2).replace(str(args.work_dir), "WORK_DIR")
    with replacing(args.work_dir / "results.json") as part:
        part.write_text(text + "\n", encoding="utf-8")
    rows = results.get("variants") or results["rows"]
    table = [[name, *mean_std(row["runs"])] for name, row in rows.items()]
    print(markdown([[args.what, *COLUMNS.values()], *table]))
    print(f"written: {args.work_dir / 'results.json'}")
    versions = {each["code"] for row in rows.values() for each in row["runs"]}
    if len(versions) > 1:
        print(f"note: these runs were made by different code: {', '.join(sorted(versions))}")
    if args.record:
        record({"methods": "mini", "settings": "settings"}[args.what], json.loads(text))


if __name__ == "__main__":
    run(main)
