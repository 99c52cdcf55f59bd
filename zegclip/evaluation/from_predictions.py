"""Scores of label maps that any other system wrote, by the protocol of our own tests."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS, METRICS
from tqdm import tqdm

from zegclip.datasets.base import ZeroShotDataset
from zegclip.datasets.files import first_few
from zegclip.datasets.images import image_size
from zegclip.datasets.masks import check_mask, read_labels, read_mask
from zegclip.errors import InputError

from .protocol import data_protocol, protocol_fingerprint, protocol_line
from .report import code_version, write_report
from .zero_shot_metric import ZeroShotIoUMetric


def score_folder(cfg: Config, folder: str | Path) -> dict[str, Any]:
    """Score a folder of predictions against a config's test data, and write ``report.json``.

    No model is made. One message lists all that is wrong (docs/other_systems.md), before anything
    is written. The fingerprint is of the data's part of the protocol: equal for all systems that
    were judged alike.

    Args:
        cfg: of which ``test_dataloader.dataset`` (a :class:`ZeroShotDataset` with masks) and
            ``test_evaluator`` count; the report goes into ``cfg.work_dir``.
        folder: PNGs named after the images; label ids in the data set's class order, 255: no class.

    Returns:
        The report: numbers, ``protocol``, and ``extra_files`` that belong to no image.

    Raises:
        InputError: a prediction is missing or cannot be scored, the work dir holds the report of
            something else, or the config has no such data set or metric.

    Example:
        >>> cfg = Config.fromfile("configs/zegclip_voc_inductive.py")
        >>> cfg.work_dir = "work_dirs/theirs"
        >>> score_folder(cfg, "pngs")["hIoU"]  # doctest: +SKIP
    """
    folder, path = Path(folder), Path(cfg.work_dir) / "report.json"
    if path.exists():
        known = json.loads(path.read_text(encoding="utf-8")).get("protocol", {})
        if known.get("predictions_folder") != str(folder.resolve()):
            raise InputError(f"{path} is the report of something else: give another --work-dir")
    init_default_scope(cfg.get("default_scope", "mmseg"))
    evaluators = cfg.test_evaluator
    built = map(METRICS.build, evaluators if isinstance(evaluators, list) else [evaluators])
    metric = next((m for m in built if isinstance(m, ZeroShotIoUMetric)), None)
    if metric is None:
        raise InputError("the config's test_evaluator is no ZeroShotIoUMetric")
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    if not isinstance(dataset, ZeroShotDataset) or not dataset.mask_folders():
        raise InputError(f"{type(dataset).__name__} is no ZeroShotDataset that has masks")
    extra = _score(dataset, folder, metric)
    summary = metric.summary or {}
    protocol = data_protocol(dataset)
    protocol |= {
        "predictions": folder.resolve().name,
        "predictions_folder": str(folder.resolve()),
        "stage": "test",
        "config": Path(cfg.filename or "unknown").stem,
        "labels": metric.labels,
        "code": code_version(),
        "fingerprint": protocol_fingerprint(protocol),
    }
    write_report(path, summary, protocol)
    if extra:
        print_log(f"{len(extra)} PNGs belong to no image: {first_few(extra)}", "current")
    print_log(f"{protocol_line(protocol)}\nnumbers and protocol: {path}", "current")
    return {**summary, "protocol": protocol, "extra_files": extra}


def _score(dataset: ZeroShotDataset, folder: Path, metric: ZeroShotIoUMetric) -> list[str]:
    """Check and count every prediction, then evaluate; returns files that belong to no image."""
    metric.dataset_meta = dataset.metainfo
    metric.allow_no_class = True
    num_classes = len(dataset.metainfo["classes"])
    samples = [dataset.get_data_info(index) for index in range(len(dataset))]
    image_root = dataset.data_prefix.get("img_path") or dataset.data_root or "."
    files, extra = find_predictions(folder, [s["img_path"] for s in samples], image_root)
    problems = []
    if missing := [name for name, file in files if file is None]:
        problems.append(
            f"missing: {first_few(missing)} (each image of the test split needs its PNG; to judge "
            "a part of them, give the config's test data set a shorter ann_file)"
        )
    for sample, (_, file) in zip(tqdm(samples, desc="predictions"), files, strict=True):
        if file is None:
            continue
        try:
            size = image_size(sample["img_path"])
            prediction = read_mask(file)
            check_mask(prediction, str(file), num_classes, image_size=size)
            maps = {"pred_sem_seg": prediction, "gt_sem_seg": read_labels(sample, size)}
        except InputError as error:
            problems.append(str(error))
            continue
        tensors = {k: {"data": torch.from_numpy(v.astype(np.int64))[None]} for k, v in maps.items()}
        metric.process(None, [sample | tensors])
    if problems:
        lines = [f"{folder}: the {len(samples)} predictions cannot be scored", *problems[:10]]
        if len(problems) > 10:
            lines.append(f"and {len(problems) - 10} more")
        if extra:
            lines.append(f"note: {len(extra)} PNGs belong to no image: {first_few(extra)}")
        raise InputError("\n  ".join(lines))
    metric.evaluate(len(samples))
    return extra


def find_predictions(
    folder: Path, images: Sequence[str], image_root: str
) -> tuple[list[tuple[str, Path | None]], list[str]]:
    """Find the prediction of each image.

    An image ``image_root/city/a.jpg`` has ``city/a.png`` (the images' folders, mirrored) or
    ``a.png`` (flat, as ``tools/test.py --out`` writes).

    Returns:
        For each image the PNG's name and path (``None``: it is not there); names of PNGs that
        belong to no image.

    Raises:
        InputError: there is no such folder or no PNG in it; or a PNG would belong to two images.
    """
    paths = [path for path in sorted(folder.rglob("[!.]*")) if path.suffix.lower() == ".png"]
    present = {path.relative_to(folder).with_suffix(".png").as_posix(): path for path in paths}
    if not present:
        raise InputError(f"{folder} is no folder with PNGs, which are named after their image")
    files: list[tuple[str, Path | None]] = []
    owners: dict[str, str] = {}
    for image in images:
        mirrored = PurePath(os.path.relpath(image, image_root)).with_suffix(".png").as_posix()
        flat = PurePath(image).stem + ".png"
        name = next((name for name in (mirrored, flat) if name in present), mirrored)
        if name in present and owners.setdefault(name, image) != image:
            raise InputError(
                f"{folder / name} would belong to {owners[name]} and to {image}: images of the "
                "same name need their folders mirrored below the predictions' folder"
            )
        files.append((name, present.get(name)))
    return files, [name for name in present if name not in owners]
