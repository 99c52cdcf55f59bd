"""Pseudo-labels of the transductive setting."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


@torch.no_grad()
def pseudo_label(
    labels: Tensor, unseen_map: Tensor, mask_logits: Tensor, unseen_ids: Sequence[int]
) -> Tensor:
    """Label the unseen pixels with the model's own choice among the unseen classes.

    Args:
        labels: ``(B, H, W)`` ids, unseen pixels ignored (255).
        unseen_map: ``(B, H, W)`` bool, true on pixels of unseen classes (which one is not told).
        mask_logits: ``(B, C, H, W)`` over the whole vocabulary.
        unseen_ids: label ids of the unseen classes.

    Returns:
        ``(B, H, W)`` ids; background and void stay ignored.

    Source: ZegCLIP, Sec. 3.4 (transductive setting); that it is done on-line, in each step:
    published code.
    """
    ids = torch.tensor(list(unseen_ids), device=labels.device)
    chosen = ids[mask_logits[:, ids].argmax(dim=1)]
    return torch.where(unseen_map, chosen, labels)
