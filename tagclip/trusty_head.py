"""TagCLIP's head: a trusty token beside the classes, and its trusty map."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from mmseg.registry import MODELS
from torch import Tensor, nn

from zegclip.heads import (
    ATTENTION_MEANING,
    TRUST,
    ATMDecoder,
    HeadOutput,
    HeadPrediction,
    ZeroShotHead,
    calibrate,
    upsample,
)
from zegclip.losses import (
    binary_dice_loss,
    binary_focal_loss,
    mean_over_ranks,
    present_classes,
)

from .trusty_learner import TrustyLearner
from .trusty_weighting import WEIGHTINGS, weight_by_trust

TRUSTY_LOSSES = {"focal": binary_focal_loss, "dice": binary_dice_loss}
TRUSTY_TARGETS = ("seen", "unseen_gt")


@MODELS.register_module()
class TrustyHead(ZeroShotHead):
    """ZegCLIP's decoder with one more query, the trusty token t_A, whose mask says "seen here".

    Source: TagCLIP, Sec. 3 and Fig. 2.

    Args:
        embed_dims: D.
        num_layers: decoder layers.
        num_heads: attention heads, of the decoder and of the Trusty Learner.
        feedforward_channels: hidden width of the decoder's feed-forward networks.
        dropout: rate in the decoder and in the Trusty Learner.
        structure: of the Trusty Learner.
        trusty_loss: ``"focal"`` (published code) or ``"dice"``.
        trusty_loss_weight: weight of that loss (10).
        trusty_target: what the trusty map is supervised with. ``"seen"``: G_A = 1 on pixels of
            seen classes, 0 elsewhere, as the paper says; needs no unseen label. ``"unseen_gt"``:
            the published code's target, 1 on the *unseen* pixels of the unmasked label; it shows
            unseen masks to training and is there only to compare with published numbers.
        trusty_weighting: how the trusty map weights the probabilities in the inductive setting,
            ``"both"``, ``"seen"``, ``"unseen"`` or ``"none"``.
        loss: the mask loss; TagCLIP's weights are 20 (focal) and 1 (dice).
        kwargs: see :class:`ZeroShotHead`.
    """

    figures = frozenset({TRUST})
    attention_meaning = ATTENTION_MEANING

    def __init__(
        self,
        embed_dims: int,
        num_layers: int = 3,
        num_heads: int = 8,
        feedforward_channels: int = 2048,
        dropout: float = 0.1,
        structure: str = "project_first",
        trusty_loss: str = "focal",
        trusty_loss_weight: float = 10.0,
        trusty_target: str = "seen",
        trusty_weighting: str = "both",
        loss: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(embed_dims, loss={"focal_weight": 20.0, **(loss or {})}, **kwargs)
        for word, value, allowed in (
            ("trusty_loss", trusty_loss, TRUSTY_LOSSES),
            ("trusty_target", trusty_target, TRUSTY_TARGETS),
            ("trusty_weighting", trusty_weighting, WEIGHTINGS),
        ):
            if value not in allowed:
                raise ValueError(f"{word}={value!r} is not one of {', '.join(allowed)}")
        self.trusty_token = nn.Parameter(torch.empty(1, embed_dims))
        self.trusty_learner = TrustyLearner(embed_dims, num_heads, dropout, structure)
        self.decoder = ATMDecoder(embed_dims, num_layers, num_heads, feedforward_channels, dropout)
        self.trusty_loss = trusty_loss
        self.trusty_loss_weight = trusty_loss_weight
        self.trusty_target = trusty_target
        self.needs_unseen_map = trusty_target == "unseen_gt"
        self.trusty_weighting = trusty_weighting
        # About unit length, as the class embeddings that it stands beside (inferred).
        nn.init.normal_(self.trusty_token, std=embed_dims**-0.5)
        if self.needs_unseen_map:
            warnings.warn(
                "trusty_target='unseen_gt' shows the masks of unseen objects to training, as the "
                "published code does: the result is not zero-shot. Use trusty_target='seen'.",
                stacklevel=2,
            )

    def quirks(self) -> dict[str, bool]:
        # Its map says "unseen here": read the other way round, it would weight the wrong classes.
        return {"decode_head.trusty_target='unseen_gt'": self.needs_unseen_map}

    def start_aligned(self, gain: float) -> None:
        self.trusty_learner.relationship_descriptor.pass_class_embeddings()
        self.decoder.layers[-1].cross_attention.compare_directly(gain)

    def forward(
        self, patch_embeddings: Tensor, cls_embedding: Tensor, class_embeddings: Tensor
    ) -> HeadOutput:
        embeddings = torch.cat([class_embeddings, self.trusty_token.to(class_embeddings)])
        queries = self.trusty_learner(embeddings, cls_embedding)
        maps = self.decoder(queries, patch_embeddings)
        return HeadOutput(mask_logits=maps[:, :-1], trusty_logits=maps[:, -1:])

    def losses(
        self, output: HeadOutput, labels: Tensor, unseen_map: Tensor | None = None
    ) -> dict[str, Tensor]:
        losses = super().losses(output, labels, unseen_map)
        assert output.trusty_logits is not None
        if self.needs_unseen_map:
            if unseen_map is None:
                raise ValueError(
                    "trusty_target='unseen_gt' needs the data set's unseen map: set "
                    "keep_unseen_map=True in HideUnseenLabels of the training pipeline"
                )
            target = unseen_map
        else:
            target = labels < output.mask_logits.shape[1]  # 255 is background, void or unseen
            if unseen_map is not None:  # transductive: pseudo-labelled, but not seen
                target = target & ~unseen_map
        trusty = TRUSTY_LOSSES[self.trusty_loss](
            upsample(output.trusty_logits, labels.shape[-2:]), target
        )
        pairs = mean_over_ranks(present_classes(labels, output.mask_logits.shape[1]).sum())
        losses["loss_trusty"] = self.trusty_loss_weight * trusty.sum() / pairs
        return losses

    def trusty_map(self, output: HeadOutput, size: tuple[int, int]) -> Tensor:
        """M_A = P(seen), ``(B, 1, H, W)``, whichever way round the map was supervised."""
        assert output.trusty_logits is not None
        logits = upsample(output.trusty_logits, size)
        return (-logits if self.needs_unseen_map else logits).sigmoid()

    def predict(
        self, output: HeadOutput, size: tuple[int, int], seen: Tensor, inductive: bool
    ) -> HeadPrediction:
        probabilities = upsample(output.mask_logits, size).sigmoid()
        trusty_map = self.trusty_map(output, size)
        if inductive:
            probabilities = calibrate(probabilities, seen, self.gamma)
            probabilities = weight_by_trust(probabilities, trusty_map, seen, self.trusty_weighting)
        return HeadPrediction(probabilities, trusty_map)

    def protocol(self, inductive: bool) -> dict[str, Any]:
        return {
            **super().protocol(inductive),
            "trusty_weighting": self.trusty_weighting if inductive else "none",
            "trusty_target": self.trusty_target,
        }
