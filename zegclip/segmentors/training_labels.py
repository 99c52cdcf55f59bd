"""What training may know of a label map: query indices, and pseudo-labels where it may not look."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmseg.structures import SegDataSample
from torch import Tensor

from zegclip.errors import InputError
from zegclip.vocabulary import IGNORE_INDEX, Vocabulary

# What self-training labels by itself, in the transductive setting.
PSEUDO_LABELS = ("unseen_pixels", "all_unlabelled")


class QueryLabels:
    """Maps label ids to ``0..Q-1``, the training queries, and refuses ids that must not arrive.

    Unless the setting is supervised, a label id of an unseen class is an error here, whatever the
    data pipeline was: the last place before the model. The queries are the seen classes in the
    inductive setting, else all.

    Args:
        vocabulary: classes, split and setting.

    Example:
        >>> to_queries = QueryLabels(Vocabulary(["cat", "dog", "bus"], unseen=["dog"]))
        >>> to_queries(torch.tensor([[[0, 2, 255]]]), [])
        tensor([[[  0,   1, 255]]])
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        num_classes = len(vocabulary.classes)
        # -1: no label that training may know. (At least 256 entries, so that 255 has its own; at
        # test there may be more classes.)
        self.table = torch.full((max(num_classes, IGNORE_INDEX + 1),), -1)
        self.table[list(vocabulary.train_ids)] = torch.arange(len(vocabulary.train_ids))
        if vocabulary.setting == "transductive":  # they are queries, and still no labels
            self.table[list(vocabulary.unseen_ids)] = -1
        self.table[IGNORE_INDEX] = IGNORE_INDEX

    def __call__(self, labels: Tensor, data_samples: Sequence[SegDataSample]) -> Tensor:
        """``(B, H, W)`` ids -> ``(B, H, W)`` query indices or 255.

        Raises:
            InputError: an unseen class where none may be, or an id outside the vocabulary.
        """
        if len(self.vocabulary.classes) > IGNORE_INDEX:
            raise InputError(
                f"{len(self.vocabulary.classes)} classes cannot be trained: label {IGNORE_INDEX} "
                f"means ignored, so a label map has at most {IGNORE_INDEX} classes"
            )
        self.table = self.table.to(labels.device)
        labels = labels.long()
        index = labels.clamp(0, len(self.table) - 1)
        queries = self.table[index]
        bad = (queries < 0) | (index != labels)
        if bad.any():  # synchronises with the GPU
            self._refuse(labels, bad, data_samples)
        return queries

    def _refuse(self, labels: Tensor, bad: Tensor, data_samples: Sequence[SegDataSample]) -> None:
        index = int(bad.flatten(1).any(1).nonzero()[0])
        label = int(labels[index][bad[index]][0])
        place = data_samples[index].metainfo.get("seg_map_path", f"sample {index} of the batch")
        classes = self.vocabulary.classes
        if 0 <= label < len(classes):
            raise InputError(
                f"{place}: label {label} is the unseen class {classes[label]!r}, which no label "
                f"may show to training in the {self.vocabulary.setting} setting; put "
                "dict(type='HideUnseenLabels') into the training pipeline, directly after "
                "LoadCheckedAnnotations"
            )
        raise InputError(
            f"{place}: label {label} is outside the {len(classes)} classes; is "
            "reduce_zero_label right for these masks?"
        )


def unseen_maps(data_samples: Sequence[SegDataSample], size: torch.Size) -> Tensor:
    """``gt_unseen_map`` of a batch as ``(B, H, W)`` bool, padded as the labels were.

    Raises:
        InputError: the training pipeline does not keep it.
    """
    maps = []
    for sample in data_samples:
        if "gt_unseen_map" not in sample:
            raise InputError(
                "this run needs the data set's unseen map: put HideUnseenLabels into the training "
                "pipeline with keep_unseen_map=True, directly after LoadCheckedAnnotations"
            )
        unseen = sample.gt_unseen_map.data
        bottom, right = (full - own for full, own in zip(size, unseen.shape[-2:], strict=True))
        maps.append(F.pad(unseen, (0, right, 0, bottom)))
    return torch.cat(maps) == 1


def unlabelled_maps(labels: Tensor, data_samples: Sequence[SegDataSample]) -> Tensor:
    """Pixels without a label: unseen classes, background and void, which nothing tells apart.

    Args:
        labels: ``(B, H, W)``, 255 where there is none.
        data_samples: theirs; what the data preprocessor padded is no pixel of an image.

    Returns:
        ``(B, H, W)`` bool.
    """
    unlabelled = labels == IGNORE_INDEX
    for sample, each in zip(data_samples, unlabelled, strict=True):
        height, width = sample.metainfo.get("img_shape", each.shape)[:2]
        each[height:] = False
        each[:, width:] = False
    return unlabelled


@torch.no_grad()
def pseudo_label(
    labels: Tensor, places: Tensor, unseen_logits: Tensor, unseen_ids: Tensor
) -> Tensor:
    """Label pixels with the model's own choice among the unseen classes.

    Args:
        labels: ``(B, H, W)`` ids, unseen pixels ignored (255).
        places: ``(B, H, W)`` bool, which pixels: :func:`unseen_maps` (where unseen objects are is
            known, which one is not) or :func:`unlabelled_maps`.
        unseen_logits: ``(B, U, H, W)``, masks of the unseen classes.
        unseen_ids: ``(U,)`` their label ids.

    Returns:
        ``(B, H, W)`` ids; all other pixels keep theirs.

    Source: ZegCLIP, Sec. 3.4 (transductive setting); that it is done on-line, in each step:
    published code.
    """
    return torch.where(places, unseen_ids[unseen_logits.argmax(dim=1)], labels)


class PseudoLabelCounter:
    """Counts pseudo-labelled pixels by class, without synchronising with the GPU.

    Args:
        num_classes: C, of the whole vocabulary.
    """

    def __init__(self, num_classes: int) -> None:
        self._counts = torch.zeros(num_classes, dtype=torch.long)

    @torch.no_grad()
    def add(self, labels: Tensor, places: Tensor) -> None:
        """Count one batch.

        Args:
            labels: ``(B, H, W)`` ids after :func:`pseudo_label`.
            places: ``(B, H, W)`` bool, what was pseudo-labelled.
        """
        self._counts = self._counts.to(labels.device)  # once
        # Not bincount, nor indexing by the map: both synchronise, for the number of results.
        index = labels.clamp(0, len(self._counts) - 1).flatten()
        self._counts.scatter_add_(0, index, places.flatten().long())

    def take(self) -> Tensor:
        """Pixels by class since the last call, ``(C,)`` int64."""
        counts, self._counts = self._counts, torch.zeros_like(self._counts)
        return counts
