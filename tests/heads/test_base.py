"""A head and an image encoder of one's own pass the tests that they inherit."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor, nn

from tests.heads.base import HeadTester
from zegclip.clip import PromptedImageEncoder
from zegclip.heads import ATMHead, HeadOutput
from zegclip.losses import present_classes


@MODELS.register_module()
class PresenceHead(ATMHead):
    """ZegCLIP's, which also learns which classes are in the image."""

    def __init__(self, embed_dims: int, **kwargs: Any) -> None:
        super().__init__(embed_dims, **kwargs)
        self.scale = nn.Parameter(torch.tensor(10.0))

    def forward(
        self, patch_embeddings: Tensor, cls_embedding: Tensor, class_embeddings: Tensor
    ) -> HeadOutput:
        output = super().forward(patch_embeddings, cls_embedding, class_embeddings)
        presence = self.scale * cls_embedding @ class_embeddings.T  # (B, C)
        return output._replace(for_losses={"presence": presence})

    def losses(
        self, output: HeadOutput, labels: Tensor, unseen_map: Tensor | None = None
    ) -> dict[str, Tensor]:
        presence = output.for_losses["presence"]
        there = present_classes(labels, presence.shape[1]).float()
        loss = F.binary_cross_entropy_with_logits(presence, there)
        return super().losses(output, labels, unseen_map) | {"loss_presence": loss}


@MODELS.register_module()
class AdaptedImageEncoder(PromptedImageEncoder):
    """No prompts: a layer behind CLIP's last block."""

    learns = True

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(num_prompts=0, **kwargs)
        self.adapter = nn.Linear(self.embed_dims, self.embed_dims)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        patches, cls = super().forward(image)
        moved = patches.flatten(2).transpose(1, 2)
        moved = F.normalize(moved + self.adapter(moved), dim=-1)
        return moved.transpose(1, 2).unflatten(2, patches.shape[2:]), cls


class TestPresenceHead(HeadTester):
    head: ClassVar = {
        "type": "PresenceHead",
        "decoder": {"num_layers": 1, "num_heads": 2, "feedforward_channels": 16},
    }
    image_encoder: ClassVar = {"type": "AdaptedImageEncoder"}
