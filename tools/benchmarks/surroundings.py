"""What is around the model: data, metric, start-up."""

from __future__ import annotations

import os
import random
import resource
import shlex
import subprocess
import sys
import tempfile
from argparse import Namespace
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.registry import init_default_scope
from mmseg.datasets import BaseSegDataset
from mmseg.evaluation import IoUMetric
from mmseg.registry import DATASETS
from PIL import Image

from benchmarks.measure import Row, compare, median_min_max
from zegclip.compat import set_up
from zegclip.engine.config_files import find_config
from zegclip.evaluation import ZeroShotIoUMetric
from zegclip.files import PROJECT_ROOT
from zegclip.vocabulary import IGNORE_INDEX


def data(args: Namespace) -> Iterator[Row]:
    """VOC's pipelines on pictures of VOC's size, against mmseg's own transforms."""
    set_up()  # mmengine finds mmseg's configs
    init_default_scope("mmseg")
    cfg = Config.fromfile(find_config("zegclip_voc_inductive"))
    stock = get_config("mmseg::_base_/datasets/pascal_voc12.py")
    count = 2 if args.dry_run else 12
    with tempfile.TemporaryDirectory() as folder:
        numbers = np.random.default_rng(0)
        for index in range(count):
            size = (500, 375) if index % 3 else (375, 500)
            picture = Image.fromarray(numbers.integers(0, 255, (60, 80, 3), dtype=np.uint8))
            picture.resize(size).save(f"{folder}/{index}.jpg")
            blobs = numbers.choice([0, 0, 0, *numbers.integers(1, 21, 2)], (4, 5))
            mask = Image.fromarray(blobs.astype(np.uint8))
            mask.resize(size, Image.Resampling.NEAREST).save(f"{folder}/{index}.png")
        where = dict(data_root=folder, data_prefix=dict(img_path="", seg_map_path=""))
        for loader, pipeline in (("train", stock.train_pipeline), ("test", stock.test_pipeline)):
            own = cfg[f"{loader}_dataloader"].dataset
            # (Supervised: hidden labels would change the crops.)
            own.update(where, ann_file="", setting="supervised", unseen=[])
            plain = BaseSegDataset(**where, pipeline=pipeline, reduce_zero_label=True)
            ways = {"ours": partial(_read, DATASETS.build(own)), "plain": partial(_read, plain)}
            yield from compare(loader, ways, args, images=count)


def _read(dataset: Any) -> list[Any]:
    random.seed(0)
    np.random.seed(0)
    sums = []  # (Samples that are kept would need fresh memory each, which takes longer than they.)
    for index in range(len(dataset)):
        sample = dataset[index]
        sums += [sample["inputs"].sum(), sample["data_samples"].gt_sem_seg.data.sum()]
    return sums


def evaluation(args: Namespace) -> Iterator[Row]:
    """The metric's work for each image, against mmseg's IoUMetric."""
    side = args.size // 16
    label = torch.randint(171, (1, side, side), dtype=torch.uint8)
    label = label.repeat_interleave(16, 1).repeat_interleave(16, 2)
    guess = torch.where(torch.rand(label.shape) < 0.8, label, torch.randint(171, label.shape))
    label[:, :20] = IGNORE_INDEX
    sample = {
        name: {"data": each.to(args.device)}
        for name, each in (("pred_sem_seg", guess), ("gt_sem_seg", label))
    }
    names = [f"class {index}" for index in range(171)]
    meta = dict(classes=names, unseen=names[156:], setting="inductive")
    images = 10

    def process(kind: type) -> None:
        metric = kind()
        metric.dataset_meta = meta
        for _ in range(images):
            metric.process({}, [sample])

    ways = {"ours": partial(process, ZeroShotIoUMetric), "plain": partial(process, IoUMetric)}
    yield from compare(f"{args.size}², 171 classes", ways, args, images=images)


def startup(args: Namespace) -> Iterator[Row]:
    """CPU seconds of whole processes; ``import torch`` is what anybody pays."""
    with tempfile.TemporaryDirectory() as folder:
        for command in (
            ["-c", "import torch"],
            ["-c", "import zegclip"],
            _training("zegclip", folder, iterations=1),
        ):
            # (The first compiles byte code and paints scenes.)
            runs = [_run(*command) for _ in range(1 + args.repeats)]
            row = runs[0] | {"seconds": median_min_max([run["seconds"][0] for run in runs[1:]])}
            yield row if "error" in row else {k: row[k] for k in row if k != "output"}


def _training(method: str, folder: str, iterations: int) -> list[str]:
    options = [f"train_cfg.max_iters={iterations}", f"default_hooks.logger.interval={iterations}"]
    options += ["val_cfg=None", "val_dataloader=None", "val_evaluator=None"]
    program = ["tools/train.py", f"configs/{method}_mini_inductive.py", "--work-dir", folder]
    return [*program, "--seed", "0", "--cfg-options", *options]


def _run(*command: str) -> Row:
    """CPU seconds of a Python process, and its last words."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    path = os.pathsep.join(filter(None, sys.path))
    done = subprocess.run(
        [sys.executable, *command],
        cwd=PROJECT_ROOT,
        env=os.environ | {"PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    row = {"case": " ".join(command[:2]), "seconds": median_min_max([seconds])}
    row["output"] = f"$ python {shlex.join(command)}\n{done.stdout[-4000:]}"
    if done.returncode or "loss: nan" in done.stdout:
        row["error"] = f"exit status {done.returncode}, see its output"
    return row
