"""What is around the model: data, metric, start-up, and whole programs."""

from __future__ import annotations

import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.datasets import BaseSegDataset
from mmseg.evaluation import IoUMetric
from mmseg.registry import DATASETS
from PIL import Image
from torch import Tensor

from benchmarks.measure import Settings, compare, spread
from zegclip.engine.launch import find_config
from zegclip.evaluation import ZeroShotIoUMetric
from zegclip.files import PROJECT_ROOT

Row = dict[str, Any]
_STOCK_TRAIN = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations", reduce_zero_label=True),
    dict(type="RandomResize", scale=(2048, 512), ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type="RandomCrop", crop_size=(512, 512), cat_max_ratio=0.75),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PhotoMetricDistortion"),
    dict(type="PackSegInputs"),
]
_STOCK_TEST = [
    dict(type="LoadImageFromFile"),
    dict(type="ResizeShortestEdge", scale=512, max_size=65536),
    dict(type="LoadAnnotations", reduce_zero_label=True),
    dict(type="PackSegInputs"),
]


def data(settings: Settings) -> Iterator[Row]:
    """VOC's pipelines on generated photographs in its layout, against mmseg's own transforms."""
    init_default_scope("mmseg")
    cfg = Config.fromfile(find_config("zegclip_voc_inductive"))
    with tempfile.TemporaryDirectory() as folder:
        _write_photos(Path(folder), 2 if settings.dry_run else 12)
        where = dict(data_root=folder, data_prefix=dict(img_path="images", seg_map_path="masks"))
        for stage, loader, stock in (
            ("training", cfg.train_dataloader, _STOCK_TRAIN),
            ("test", cfg.test_dataloader, _STOCK_TEST),
        ):
            # (Supervised: hidden labels would change the crops.)
            own = dict(loader.dataset, **where, ann_file="", setting="supervised")
            ours = DATASETS.build(own | {"unseen": []})
            plain = BaseSegDataset(**where, pipeline=stock, reduce_zero_label=True)
            ways = {"ours": _read_all(ours), "plain": _read_all(plain)}
            row = compare(f"{stage}, {len(ours)} images", ways, settings)
            for way in row["ways"].values():
                way["images_per_second"] = len(ours) / way["seconds"]["median"]
            yield row


def _write_photos(folder: Path, count: int) -> None:
    """Pictures of VOC's size with smooth colours and noise; masks of a few blobs."""
    random_numbers = np.random.default_rng(0)
    for name in ("images", "masks"):
        (folder / name).mkdir()
    for index in range(count):
        size = (500, 375) if index % 3 else (375, 500)
        coarse = random_numbers.integers(0, 255, (12, 16, 3), dtype=np.uint8)
        picture = np.asarray(Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC))
        noise = random_numbers.integers(-20, 20, picture.shape)
        picture = (picture.astype(int) + noise).clip(0, 255).astype(np.uint8)
        Image.fromarray(picture).save(folder / "images" / f"{index:03d}.jpg", quality=92)
        # VOC: most of a picture is background.
        blobs = random_numbers.choice([0, 0, 0, *random_numbers.integers(1, 21, 2)], (4, 5))
        mask = Image.fromarray(blobs.astype(np.uint8))
        mask.resize(size, Image.Resampling.NEAREST).save(folder / "masks" / f"{index:03d}.png")


def _read_all(dataset: Any) -> Any:
    def read() -> list[Tensor]:
        random.seed(0)
        np.random.seed(0)
        samples = [dataset[index] for index in range(len(dataset))]
        return [
            each
            for sample in samples
            for each in (sample["inputs"], sample["data_samples"].gt_sem_seg.data)
        ]

    return read


def evaluation(settings: Settings) -> Iterator[Row]:
    """The metric's work for each image, against mmseg's IoUMetric."""
    names = [f"class {index}" for index in range(171)]
    meta = dict(classes=names, unseen=names[156:], setting="inductive")
    for size in ((64, 64),) if settings.dry_run else ((512, 512), (480, 640)):
        label = torch.randint(171, (size[0] // 16, size[1] // 16))
        label = label.repeat_interleave(16, 0).repeat_interleave(16, 1).to(torch.uint8)
        guess = torch.where(torch.rand(size) < 0.8, label, torch.randint(171, size)).long()
        label[:20] = 255
        sample = {
            "pred_sem_seg": {"data": guess[None].to(settings.device)},
            "gt_sem_seg": {"data": label[None].to(settings.device)},
        }
        ways = {
            name: _process(kind, meta, [sample] * 10)
            for name, kind in (("ours", ZeroShotIoUMetric), ("plain", IoUMetric))
        }
        yield compare(f"10 images, {size[0]}x{size[1]}, 171 classes", ways, settings, outcome=None)


def _process(kind: type, meta: dict[str, Any], samples: list[dict[str, Any]]) -> Any:
    def process() -> Any:
        metric = kind(collect_device="gpu") if kind is ZeroShotIoUMetric else kind()
        metric.dataset_meta = meta
        for sample in samples:
            metric.process({}, [sample])
        return metric

    return process


def startup(settings: Settings) -> Iterator[Row]:
    """CPU and wall seconds of whole processes; ``import torch`` is what anybody pays."""
    with tempfile.TemporaryDirectory() as folder:
        for case, command in (
            ("import torch", ["-c", "import torch"]),
            ("import zegclip", ["-c", "import zegclip"]),
            ("tools/train.py, one iteration of the mini config", _mini("zegclip", folder, 1)),
        ):
            _finish(command)  # warm-up: byte code, scenes
            times = [_finish(command) for _ in range(settings.repeats)]
            cpu, wall = (spread(each) for each in zip(*times, strict=True))
            yield {"case": case, "ways": {"ours": {"seconds": cpu, "wall_seconds": wall}}}


def programs(settings: Settings) -> Iterator[Row]:
    """Programs that must run on this device: reference archives and two small trainings."""
    iterations = 2 if settings.dry_run else 100
    archives = [f"tests/data/{name}_reference.npz" for name in ("zegclip", "tagclip")]
    with tempfile.TemporaryDirectory() as folder:
        for case, command in (
            ("reference archives (CPU)", ["tools/check_reference.py", *archives]),
            ("ZegCLIP on the mini benchmark", _mini("zegclip", folder, iterations)),
            ("LDVC with --amp", [*_mini("ldvc", folder, iterations), "--amp"]),
        ):
            cpu, wall = _finish(command)
            ours = {"seconds": spread([cpu]), "wall_seconds": spread([wall])}
            yield {"case": case, "ways": {"ours": ours}}


def _mini(method: str, folder: str, iterations: int) -> list[str]:
    options = [f"train_cfg.max_iters={iterations}", "val_cfg=None", "val_dataloader=None"]
    options += ["val_evaluator=None", "default_hooks.logger.interval=10"]
    program = ["tools/train.py", f"configs/{method}_mini_inductive.py", "--seed", "0"]
    return [*program, "--work-dir", f"{folder}/{method}", "--cfg-options", *options]


def _finish(command: list[str]) -> tuple[float, float]:
    """CPU and wall seconds of a Python process; one that fails is an error with its last words."""

    def spent() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    before, begin = spent(), time.perf_counter()
    done = subprocess.run(
        [sys.executable, *command],
        cwd=PROJECT_ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {done.stderr[-1000:]}")
    return spent() - before, time.perf_counter() - begin
