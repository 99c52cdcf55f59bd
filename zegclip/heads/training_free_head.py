"""The head of CLIP without training: a scaled cosine, softmax over all words."""

from __future__ import annotations

from typing import Any

import torch
from mmseg.registry import MODELS
from torch import Tensor

from .base import HeadOutput, Prediction, ZeroShotHead

# Of VOC's background, in SCLIP's and NACLIP's published code.
BACKGROUND_WORDS = tuple(
    "sky wall tree wood grass road sea river mountain sands desk bed building cloud lamp door "
    "window wardrobe ceiling shelf curtain stair floor hill rail fence".split()
)


@MODELS.register_module()
class TrainingFreeHead(ZeroShotHead):
    """Masks are the cosines of patches and words; nothing is learned, nothing is calibrated.

    Source: SCLIP and NACLIP, published code.

    Args:
        embed_dims: D.
        scale: of the cosines before the softmax.
        kwargs: see :class:`ZeroShotHead`.

    Example:
        >>> head = TrainingFreeHead(512)
        >>> V, g, T = torch.randn(2, 512, 14, 14), torch.randn(2, 512), torch.randn(20, 512)
        >>> head(V, g, T).mask_logits.shape
        torch.Size([2, 20, 14, 14])
    """

    learns = False
    words_apart = True
    averages_logits = True
    attention_meaning = "share of the class among all classes at the patch (softmax of the cosines)"

    def __init__(self, embed_dims: int, scale: float = 40.0, **kwargs: Any) -> None:
        # A softmax over few words always makes one probable, so there are words for all else.
        background = {"threshold": 0.1, "words": BACKGROUND_WORDS}
        super().__init__(embed_dims, **{"gamma": 0.0, "background": background, **kwargs})
        self.scale = scale

    def forward(
        self, patch_embeddings: Tensor, cls_embedding: Tensor, class_embeddings: Tensor
    ) -> HeadOutput:
        cosine = torch.einsum("bdhw,cd->bchw", patch_embeddings, class_embeddings)
        return HeadOutput(self.scale * cosine)

    def predict(self, output: HeadOutput) -> Prediction:
        return Prediction(output.mask_logits.softmax(dim=1))

    def attention(self, output: HeadOutput) -> Tensor:
        return output.mask_logits.float().softmax(dim=1)

    def protocol(self, inductive: bool) -> dict[str, Any]:
        return {**super().protocol(inductive), "scale": self.scale}
