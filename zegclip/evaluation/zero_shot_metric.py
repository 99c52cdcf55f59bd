"""The metric of the papers' tables, for mmengine's evaluator."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dist import all_gather_object
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from mmseg.registry import METRICS
from PIL import Image
from torch import Tensor

from zegclip.errors import InputError
from zegclip.files import replacing
from zegclip.vocabulary import IGNORE_INDEX, Vocabulary

from .protocol import digest
from .scores import COLUMNS, CROSS_DATASET_COLUMNS, render_scores, scores

_IDS = IGNORE_INDEX + 1
# Entries of an image's confusion matrix that are not zero: their places and counts.
Counts = tuple[np.ndarray, np.ndarray]


@METRICS.register_module()
class ZeroShotIoUMetric(BaseMetric):
    """pAcc, mIoU(S), mIoU(U) and hIoU from one confusion matrix over all classes.

    Class names and split come from the data set's metainfo. One result per image is kept, the
    entries of its confusion matrix that are not zero: mmengine drops the images that a sampler
    repeats to give all processes equally many, so none is counted twice, and memory stays small.

    Images without a label (of a test set whose masks are secret) are not scored; the log says how
    many these are.

    Args:
        output_dir: a folder for the predicted label maps (``--out`` of the tools): PNGs named after
            the images, ids in the data set's class order, 16-bit where there are more than 255
            classes (in 8 bits, 255 is no class).
        format_only: write them and score nothing.
        keep_results: not read; mmseg's own test script sets it.
        collect_device: ``"gpu"`` collects through the process group (without a GPU as well);
            ``"cpu"``, mmengine's default, through files, and leaves a folder ``.dist_test`` behind.
        allow_no_class: whether a prediction of 255 is "no class" instead of an error:
            a wrong pixel of its label's class, and no other class's false positive.
        **kwargs: mmengine's.

    Attributes:
        summary: after an evaluation, on the main process, the numbers of ``report.json``.
        labels: a digest of the ground truth that was scored: of each class's number of pixels.
    """

    # Not None, for which mmengine warns: the names of these numbers need no prefix.
    default_prefix = ""

    def __init__(
        self,
        output_dir: str | None = None,
        format_only: bool = False,
        keep_results: bool = False,
        collect_device: str = "gpu",
        allow_no_class: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(collect_device=collect_device, **kwargs)
        if format_only and output_dir is None:
            raise InputError("format_only=True only writes label maps: set output_dir")
        self.output_dir = None if output_dir is None else Path(output_dir)
        self.format_only = format_only
        self._written: dict[Path, str] = {}
        self.allow_no_class = allow_no_class
        self.summary: dict[str, Any] | None = None
        self.labels: str | None = None

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Count the pixels of a batch.

        Args:
            data_batch: unused.
            data_samples: with ``pred_sem_seg`` and maybe ``gt_sem_seg``, each ``data`` (1, H, W)
                of label ids.

        Raises:
            InputError: sizes differ, an id is outside the classes, or a file in ``output_dir``
                would be two images' or is one of the data set.
        """
        num_classes = len(self.dataset_meta["classes"])
        for sample in data_samples:
            image = sample.get("img_path", f"image {len(self.results)}")
            prediction = sample["pred_sem_seg"]["data"]
            if self.output_dir is not None:
                self._write(image, sample.get("seg_map_path"), prediction)
            if self.format_only or "gt_sem_seg" not in sample:
                self.results.append(())  # (mmengine takes a None for no image at all)
                continue
            if num_classes > IGNORE_INDEX:
                raise InputError(
                    f"{num_classes} classes cannot be told apart by labels of which "
                    f"{IGNORE_INDEX} is ignored"
                )
            label = sample["gt_sem_seg"]["data"].to(prediction.device)
            if prediction.shape != label.shape:
                raise InputError(
                    f"{image}: the prediction is {tuple(prediction.shape)}, its label "
                    f"{tuple(label.shape)}: predictions must come in the original size "
                    "(ori_shape), and labels be loaded after any resizing of the test pipeline"
                )
            self.results.append(self._count(image, prediction, label))

    def _write(self, image: str, mask: str | None, prediction: Tensor) -> None:
        """Write a label map; neither another image's of that name nor what is read is replaced."""
        path = self.output_dir / f"{Path(image).stem}.png"  # type: ignore[operator]
        self._check_owner(path, image)
        if path.resolve() in {Path(each).resolve() for each in (image, mask) if each}:
            raise InputError(
                f"{path} of the data set would be replaced by a prediction: choose another folder"
            )
        kind = np.uint8 if len(self.dataset_meta["classes"]) <= IGNORE_INDEX else np.uint16
        with replacing(path) as part:
            Image.fromarray(prediction.squeeze(0).cpu().numpy().astype(kind)).save(part)

    def _check_owner(self, path: Path, image: str) -> None:
        """``InputError`` if a label map's file is another image's."""
        other = self._written.setdefault(path, image)
        if other != image:
            raise InputError(
                f"{other} and {image} would both be {path}: test each folder by itself "
                "(data_prefix.img_path)"
            )

    def _count(self, image: str, prediction: Tensor, label: Tensor) -> Counts:
        """Count an image's pixels by label and prediction, both ``(1, H, W)``."""
        num_classes = len(self.dataset_meta["classes"])
        columns = num_classes + self.allow_no_class  # one more for "no class", the last
        # 8 bits each; ids that do not fit are refused by their extremes.
        pairs = label.byte().long() * _IDS + prediction.byte()
        table = torch.bincount(pairs.flatten(), minlength=_IDS**2).cpu().numpy()
        labels, predictions = np.divmod(np.flatnonzero(table), _IDS)
        labelled = labels != IGNORE_INDEX
        named = predictions != (IGNORE_INDEX if self.allow_no_class else _IDS)
        self._check(predictions[named], prediction, f"{image}: the prediction")
        self._check(labels[labelled], label, f"{image}: the label")
        cells = labels * columns + np.minimum(predictions, num_classes)
        return cells[labelled], table[table > 0][labelled]

    def _check(self, ids: np.ndarray, label_map: Tensor, what: str) -> None:
        """Refuse ids outside the classes; those outside of 0..255 are in the map alone."""
        num_classes = len(self.dataset_meta["classes"])
        low, high = (int(each) for each in label_map.aminmax())
        high = high if high >= _IDS else int(ids.max(initial=0))
        if low < 0 or high >= num_classes:
            hint = "do model and data set have the same class list?"
            if high == IGNORE_INDEX:
                hint = "where 255 means no class, set test_evaluator.allow_no_class=True"
            raise InputError(
                f"{what} holds the id {low if low < 0 else high}, but the {num_classes} classes "
                f"are 0..{num_classes - 1}; {hint}"
            )

    def evaluate(self, size: int) -> dict:
        """mmengine's (collect all results, compute the metrics), once no file is written twice.

        Raises:
            InputError: two processes wrote files of one name.
        """
        for written in all_gather_object(self._written):
            for path, image in written.items():
                self._check_owner(path, image)
        return super().evaluate(size)

    def compute_metrics(self, results: list[Counts | tuple[()]]) -> dict[str, float]:
        """Sum all images' counts, log the tables, and return the overall numbers in percent.

        Raises:
            InputError: no image has a label, and nothing was written.
        """
        labelled = [result for result in results if result]
        if len(labelled) < len(results):
            text = f"{len(results) - len(labelled)} of {len(results)} images are not scored"
            if not labelled and self.output_dir is None:
                raise InputError(f"{text}: they have no masks (--out DIR writes label maps)")
            print_log(text, logger="current")
        if not labelled:
            self.summary = None
            return {}
        vocabulary = Vocabulary.from_metainfo(self.dataset_meta)
        num_classes = len(vocabulary.classes)
        columns = num_classes + self.allow_no_class
        cells = np.zeros(num_classes * columns, dtype=np.int64)
        for positions, counts in labelled:
            cells[positions] += counts
        confusion = cells.reshape(num_classes, columns)
        self.summary = scores(confusion, vocabulary)
        self.labels = digest(confusion.sum(1).tolist())
        print_log(f"{len(labelled)} images\n{render_scores(self.summary)}", logger="current")
        keys = COLUMNS | CROSS_DATASET_COLUMNS
        return {key: self.summary[key] for key in keys if key in self.summary}
