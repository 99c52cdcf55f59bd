"""The metric of the papers' tables, for mmengine's evaluator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from mmseg.registry import METRICS
from torch import Tensor

from zegclip.errors import InputError
from zegclip.vocabulary import IGNORE_INDEX, Vocabulary

from .scores import COLUMNS, CROSS_DATASET_COLUMNS, render_scores, scores


@METRICS.register_module()
class ZeroShotIoUMetric(BaseMetric):
    """pAcc, mIoU(S), mIoU(U) and hIoU from one confusion matrix over all classes.

    Class names and split come from the data set's metainfo. One result per image is kept, the
    entries of its confusion matrix that are not zero: mmengine drops the images that a sampler
    repeats to give all processes equally many, so none is counted twice, and memory stays small.

    Args:
        collect_device: ``"gpu"`` collects through the process group (without a GPU as well);
            ``"cpu"``, mmengine's default, through files, and leaves a folder ``.dist_test`` behind.
        allow_no_class: whether a prediction of 255 is "no class" instead of an error:
            a wrong pixel of its label's class, and no other class's false positive.
        **kwargs: mmengine's.

    Attributes:
        summary: after an evaluation, on the main process, the numbers of ``report.json``.
    """

    # Not None, for which mmengine warns: the names of these numbers need no prefix.
    default_prefix = ""

    def __init__(
        self, collect_device: str = "gpu", allow_no_class: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(collect_device=collect_device, **kwargs)
        self.allow_no_class = allow_no_class
        self.summary: dict[str, Any] | None = None

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Count the pixels of a batch.

        Args:
            data_batch: unused.
            data_samples: with ``pred_sem_seg`` and ``gt_sem_seg``, each ``data`` (1, H, W) of
                label ids.

        Raises:
            InputError: sizes differ, or an id is outside the classes.
        """
        num_classes = len(self.dataset_meta["classes"])
        if num_classes > IGNORE_INDEX:
            raise InputError(
                f"{num_classes} classes cannot be told apart by labels of which {IGNORE_INDEX} is "
                "ignored"
            )
        columns = num_classes + self.allow_no_class  # one more for "no class", the last
        for sample in data_samples:
            image = sample.get("img_path", f"image {len(self.results)}")
            prediction = sample["pred_sem_seg"]["data"]
            label = sample["gt_sem_seg"]["data"].to(prediction.device)
            if prediction.shape != label.shape:
                raise InputError(
                    f"{image}: the prediction is {tuple(prediction.shape)}, its label "
                    f"{tuple(label.shape)}: predictions must come in the original size "
                    "(ori_shape), and labels be loaded after any resizing of the test pipeline"
                )
            # (32 bits: half of the memory to go through.)
            prediction, label = prediction.flatten().int(), label.flatten().int()
            ignored = label == IGNORE_INDEX
            no_class = (prediction == IGNORE_INDEX) & self.allow_no_class
            self._check(prediction.masked_fill(no_class, 0), f"{image}: the prediction")
            self._check(label.masked_fill(ignored, 0), f"{image}: the label")
            prediction = prediction.masked_fill(no_class, num_classes)
            # Ignored pixels are counted behind the matrix, and left there.
            cells = num_classes * columns
            index = (label * columns + prediction).masked_fill_(ignored, cells)
            counts = torch.bincount(index, minlength=cells + 1)[:cells]
            positions = counts.nonzero()[:, 0]
            self.results.append((positions.cpu().numpy(), counts[positions].cpu().numpy()))

    def _check(self, ids: Tensor, what: str) -> None:
        """Refuse ids outside the classes."""
        if not ids.numel():
            return
        num_classes = len(self.dataset_meta["classes"])
        low, high = (int(each) for each in ids.aminmax())
        if low < 0 or high >= num_classes:
            raise InputError(
                f"{what} holds the id {low if low < 0 else high}, but the {num_classes} classes "
                f"are 0..{num_classes - 1}; do model and data set have the same class list?"
            )

    def compute_metrics(self, results: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
        """Sum all images' counts, log the tables, and return the overall numbers in percent."""
        vocabulary = Vocabulary.from_metainfo(self.dataset_meta)
        num_classes = len(vocabulary.classes)
        columns = num_classes + self.allow_no_class
        confusion = np.zeros(num_classes * columns, dtype=np.int64)
        for positions, counts in results:
            confusion[positions] += counts
        self.summary = scores(confusion.reshape(num_classes, columns), vocabulary)
        print_log(f"{len(results)} images\n{render_scores(self.summary)}", logger="current")
        keys = COLUMNS | CROSS_DATASET_COLUMNS
        return {key: self.summary[key] for key in keys if key in self.summary}
