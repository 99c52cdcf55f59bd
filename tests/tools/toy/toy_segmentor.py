"""A segmentor of one convolution, for the tests of the scripts."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.model import BaseModel
from mmengine.structures import PixelData
from mmseg.registry import MODELS


@MODELS.register_module()
class ToySegmentor(BaseModel):
    """A 1x1 convolution from the image to the classes.

    Args:
        num_classes: C.
        data_preprocessor: mmseg's.
    """

    def __init__(self, num_classes: int, data_preprocessor: dict) -> None:
        super().__init__(data_preprocessor)
        self.classify = torch.nn.Conv2d(3, num_classes, 1)

    def forward(self, inputs: torch.Tensor, data_samples: list, mode: str = "tensor") -> Any:
        logits = self.classify(inputs)  # (B, C, H, W)
        if mode == "loss":
            labels = torch.stack([s.gt_sem_seg.data.squeeze(0).long() for s in data_samples])
            # (Flat, since a GPU's loss of maps refuses to be deterministic.)
            flat = logits.movedim(1, -1).flatten(0, -2), labels.flatten()
            return dict(loss_seg=torch.nn.functional.cross_entropy(*flat, ignore_index=255))
        for sample, image_logits in zip(data_samples, logits, strict=True):
            size = sample.ori_shape
            labels = image_logits.argmax(0, keepdim=True)[:, : size[0], : size[1]]
            sample.pred_sem_seg = PixelData(data=labels)
        return data_samples
