"""The runs behind the rows of the comparison: their length, start, and which checkpoints stay."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .comparison_rows import LONG, ROWS
from .runs import Run

RATE = "optim_wrapper.optimizer.lr"
RATES = (1e-3, 2e-3, 4e-3, 8e-3)
SEARCH_SEED = 1000  # none of the tables'
# Scenes that no table is made of: see MiniSceneDataset.
SEARCH_SCENES = {"val_dataloader.dataset.split": "selection"}
TESTING = {"test_dataloader.num_workers": 1, "test_dataloader.batch_size": 25}


def budget(iterations: int, points: int = 1, saved: int = 0) -> dict[str, Any]:
    """Options for the length of a training, its log, validations and checkpoints.

    Args:
        iterations: of the training.
        points: validations, at most; the last one is at the end.
        saved: checkpoints, without the optimiser; the last one is at the end.
    """
    points = next(each for each in range(points, 0, -1) if iterations % each == 0)
    hook = "default_hooks.checkpoint"
    return {
        "train_cfg.max_iters": iterations,
        "train_cfg.val_interval": iterations // points,
        "default_hooks.logger.interval": max(1, iterations // 20),
        "default_hooks.pseudo_labels.interval": max(1, iterations // 20),
        "train_dataloader.num_workers": 1,
        "val_dataloader.num_workers": 1,
        "val_dataloader.batch_size": 25,
        **(
            {f"{hook}.interval": iterations // saved, f"{hook}.save_optimizer": False}
            if saved
            else {hook: None}
        ),
    }


def searches(method: str, folder: Path, iterations: int) -> list[Run]:
    """The trainings of a method with each of the learning rates; it takes the best one's."""
    options = budget(iterations) | SEARCH_SCENES
    return [
        Run(
            ROWS[method].config,
            SEARCH_SEED,
            options | {RATE: rate},
            folder / "search" / method / f"lr_{rate}",
        )
        for rate in RATES
    ]


def best_rate(runs: Sequence[Run], failed: Sequence[Run] = ()) -> float | None:
    """The rate of the best mIoU(S), once all are finished or have failed.

    Which class an unseen pixel has plays no part. (That it has none of the seen ones does: where it
    is given one, this one's IoU falls.)
    """
    found = {each.options[RATE]: report for each in runs if (report := each.report())}
    if not found or len(found) + sum(each in failed for each in runs) < len(runs):
        return None
    return max(found, key=lambda rate: found[rate]["mIoU_S"])


def run_of(name: str, seed: int, rate: float | None, root: Path, iterations: int) -> Run:
    """The training, or the test, that a row needs for a seed.

    Args:
        name: of the row.
        seed: of the training.
        rate: the method's learning rate; ``None`` for what is not trained.
        root: the folder of all runs.
        iterations: of the usual schedule.
    """
    row, folder = ROWS[name], root / name / f"seed_{seed}"
    if not row.setting:
        return Run(row.config, None, TESTING | row.options, root / name, tool="test")
    main, start = root / row.method / f"seed_{seed}", None
    if row.retest:
        last = main / f"iter_{iterations}.pth"
        return Run(row.config, seed, TESTING | row.options, folder, last, "test")
    if row.half:
        start = main / f"iter_{iterations // 2}.pth"
        options = budget(iterations // 2, 8, saved=1)
    elif row.group == "main":
        options = budget(iterations, 1, saved=2)
    elif row.group == "long":
        options = budget(LONG * iterations, 8, saved=1)
    else:
        options = budget(iterations, 1, saved=int(row.analysed))
    return Run(row.config, seed, options | {RATE: rate} | row.options, folder, start)


def analysis_of(name: str, trained: Run) -> Run:
    """The analysis of a training's last checkpoint."""
    last = trained.folder / f"iter_{trained.options['train_cfg.max_iters']}.pth"
    options, folder = ROWS[name].options, trained.folder / "analysis"
    return Run(trained.config, trained.seed, options, folder, last, "analyze")
