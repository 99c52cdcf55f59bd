"""Pseudo-labels of the transductive setting, and how many there were of which class."""

from __future__ import annotations

import torch
from torch import Tensor


@torch.no_grad()
def pseudo_label(
    labels: Tensor, unseen_map: Tensor, unseen_logits: Tensor, unseen_ids: Tensor
) -> Tensor:
    """Label the unseen pixels with the model's own choice among the unseen classes.

    Args:
        labels: ``(B, H, W)`` ids, unseen pixels ignored (255).
        unseen_map: ``(B, H, W)`` bool, true on pixels of unseen classes (which one is not told).
        unseen_logits: ``(B, U, H, W)``, masks of the unseen classes.
        unseen_ids: ``(U,)`` their label ids.

    Returns:
        ``(B, H, W)`` ids; background and void stay ignored.

    Source: ZegCLIP, Sec. 3.4 (transductive setting); that it is done on-line, in each step:
    published code.
    """
    return torch.where(unseen_map, unseen_ids[unseen_logits.argmax(dim=1)], labels)


class PseudoLabelCounter:
    """Counts pseudo-labelled pixels by class, without making a GPU wait.

    Args:
        num_classes: C, of the whole vocabulary.
    """

    def __init__(self, num_classes: int) -> None:
        self._counts = torch.zeros(num_classes, dtype=torch.long)

    @torch.no_grad()
    def add(self, labels: Tensor, unseen_map: Tensor) -> None:
        """Count one batch.

        Args:
            labels: ``(B, H, W)`` ids after :func:`pseudo_label`.
            unseen_map: ``(B, H, W)`` bool, what was pseudo-labelled.
        """
        self._counts = self._counts.to(labels.device)  # once
        # Not bincount, nor indexing by the map: both wait for the number of results.
        index = labels.clamp(0, len(self._counts) - 1).flatten()
        self._counts.scatter_add_(0, index, unseen_map.flatten().long())

    def take(self) -> Tensor:
        """Pixels by class since the last call, ``(C,)`` int64."""
        counts, self._counts = self._counts, torch.zeros_like(self._counts)
        return counts
