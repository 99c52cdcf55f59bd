"""From label ids of the whole vocabulary to indices of the training queries."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmseg.structures import SegDataSample
from torch import Tensor

from zegclip.errors import InputError
from zegclip.vocabulary import IGNORE_INDEX, Vocabulary

_UNSEEN, _UNKNOWN = -1, -2


class QueryLabels:
    """Maps label ids to ``0..Q-1``, the training queries, and refuses what must not arrive.

    In the inductive setting the queries are the seen classes, and a label id of an unseen class
    is an error here, whatever the data pipeline was: the last place before the model.

    Args:
        vocabulary: classes, split and setting.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        size = max(len(vocabulary.classes), IGNORE_INDEX + 1)
        self.table = torch.full((size,), _UNKNOWN)
        self.table[: len(vocabulary.classes)] = _UNSEEN
        self.table[list(vocabulary.train_ids)] = torch.arange(len(vocabulary.train_ids))
        self.table[IGNORE_INDEX] = IGNORE_INDEX

    def __call__(self, labels: Tensor, data_samples: Sequence[SegDataSample]) -> Tensor:
        """``(B, H, W)`` ids -> ``(B, H, W)`` query indices or 255.

        Raises:
            InputError: an unseen class in the inductive setting.
            ValueError: an id outside the vocabulary.
        """
        self.table = self.table.to(labels.device)
        labels = labels.long()
        index = labels.clamp(0, len(self.table) - 1)
        queries = self.table[index]
        bad = (queries < 0) | (index != labels)
        if bad.any():  # waits for a GPU
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
                "may show to training in the inductive setting; put "
                "dict(type='HideUnseenLabels') into the training pipeline"
            )
        raise ValueError(
            f"{place}: label {label} is outside the {len(classes)} classes; is "
            "reduce_zero_label right for these masks?"
        )
