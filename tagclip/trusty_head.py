"""TagCLIP's head: a trusty token beside the classes, and its trusty map."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from mmseg.registry import MODELS
from torch import Tensor, nn

from zegclip.errors import InputError
from zegclip.heads import ATTENTION_MEANING, ATMDecoder, HeadOutput, Prediction, ZeroShotHead
from zegclip.losses import binary_losses, num_pairs, present_classes

from .trusty_learner import TrustyLearner
from .trusty_weighting import WEIGHTINGS, weight_by_trust

TRUSTY_LOSSES = ("focal", "dice")
TRUSTY_TARGETS = ("seen", "unseen_gt")


@MODELS.register_module()
class TrustyHead(ZeroShotHead):
    """ZegCLIP's decoder with one more query, the trusty token t_A, whose mask says "seen here".

    Source: TagCLIP, Sec. 3 and Fig. 2.

    Args:
        embed_dims: D.
        decoder: arguments of :class:`~zegclip.heads.ATMDecoder`; the Trusty Learner takes its
            ``num_heads`` and ``dropout`` from there.
        structure: of the Trusty Learner.
        trusty_loss: ``"focal"`` (published code) or ``"dice"`` (a secondary source).
        trusty_loss_weight: weight of that loss (10).
        trusty_target: what the trusty map is supervised with. ``"seen"``: G_A = 1 on pixels of
            seen classes, 0 elsewhere, as the paper says; needs no unseen label. ``"unseen_gt"``:
            the published code's target, 1 on the *unseen* pixels of the unmasked label; it shows
            unseen masks to training and is there only to compare with published numbers.
        trusty_weighting: how the trusty map weights the probabilities in the inductive setting,
            ``"both"``, ``"seen"``, ``"unseen"`` or ``"none"``.
        loss: the mask loss; TagCLIP's weights are 20 (focal) and 1 (dice).
        kwargs: see :class:`~zegclip.heads.ZeroShotHead`.

    Example:
        >>> head = TrustyHead(512)
        >>> V, g, T = torch.randn(2, 512, 32, 32), torch.randn(2, 512), torch.randn(20, 512)
        >>> head(V, g, T).extra_maps["trusty_map"].shape
        torch.Size([2, 1, 32, 32])
    """

    attention_meaning = ATTENTION_MEANING

    def __init__(
        self,
        embed_dims: int,
        decoder: dict[str, Any] | None = None,
        structure: str = "project_first",
        trusty_loss: str = "focal",
        trusty_loss_weight: float = 10.0,
        trusty_target: str = "seen",
        trusty_weighting: str = "both",
        loss: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        loss = loss or {}
        if loss.get("type", "MaskLoss") == "MaskLoss":
            loss = {"focal_weight": 20.0, **loss}
        super().__init__(embed_dims, loss=loss, **kwargs)
        for word, value, allowed in (
            ("trusty_loss", trusty_loss, TRUSTY_LOSSES),
            ("trusty_target", trusty_target, TRUSTY_TARGETS),
            ("trusty_weighting", trusty_weighting, WEIGHTINGS),
        ):
            if value not in allowed:
                raise InputError(f"{word}={value!r} is not one of {', '.join(allowed)}")
        decoder = decoder or {}
        shared = {key: decoder[key] for key in ("num_heads", "dropout") if key in decoder}
        self.trusty_token = nn.Parameter(torch.empty(1, embed_dims))
        self.trusty_learner = TrustyLearner(embed_dims, structure=structure, **shared)
        self.decoder = ATMDecoder(embed_dims, **decoder)
        self.trusty_loss = trusty_loss
        self.trusty_loss_weight = trusty_loss_weight
        self.trusty_target = trusty_target
        self.needs_unseen_map = trusty_target == "unseen_gt"
        self.trusty_weighting = trusty_weighting
        # About unit length, as the class embeddings that it stands beside (ours; the published
        # code's start is uniform, of length 1.4).
        nn.init.normal_(self.trusty_token, std=embed_dims**-0.5)
        if self.needs_unseen_map:
            warnings.warn(
                "trusty_target='unseen_gt' shows the masks of unseen objects to training, as the "
                "published code does: the result is not zero-shot. Use trusty_target='seen'.",
                stacklevel=2,
            )

    def fixed_settings(self) -> dict[str, bool]:
        attend_first = self.trusty_learner.structure == "attend_first"
        return {
            # Its map says "unseen here": the other way round, it would weight the wrong classes.
            "decode_head.trusty_target='unseen_gt'": self.needs_unseen_map,
            "decode_head.structure='attend_first'": attend_first,
        }

    def start_aligned(self, gain: float) -> None:
        self.trusty_learner.relationship_descriptor.pass_class_embeddings()
        self.decoder.mask_attention.compare_directly(gain)

    def forward(
        self, patch_embeddings: Tensor, cls_embedding: Tensor, class_embeddings: Tensor
    ) -> HeadOutput:
        # T' = [T ; t_A]: the trusty token stands beside the classes,
        embeddings = torch.cat([class_embeddings, self.trusty_token.to(class_embeddings)])
        # sees them and the image,
        queries = self.trusty_learner(embeddings, cls_embedding)
        # and asks the patches as they do: its map is M_A, theirs are M_R.
        maps = self.decoder(queries, patch_embeddings)
        return HeadOutput(maps[:, :-1], {"trusty_map": maps[:, -1:]})

    def losses(
        self, output: HeadOutput, labels: Tensor, unseen_map: Tensor | None = None
    ) -> dict[str, Tensor]:
        losses = super().losses(output, labels, unseen_map)
        num_classes = output.mask_logits.shape[1]
        if self.needs_unseen_map:
            assert unseen_map is not None  # (the segmentor refuses data without one)
            target = unseen_map
        else:
            target = labels < num_classes  # 255 is background, void or unseen
            if unseen_map is not None:  # transductive: pseudo-labelled, but not seen
                target = target & ~unseen_map
        focal, dice = binary_losses(output.extra_maps["trusty_map"], target)
        trusty = focal if self.trusty_loss == "focal" else dice
        pairs = num_pairs(present_classes(labels, num_classes))
        losses["loss_trusty"] = self.trusty_loss_weight * trusty.sum() / pairs
        return losses

    def predict(self, output: HeadOutput) -> Prediction:
        """As the base's; the trusty map is P(seen), whichever way round it was supervised."""
        prediction = super().predict(output)
        if not self.needs_unseen_map:
            return prediction
        trusty_map = 1 - prediction.extra_maps["trusty_map"]
        return prediction._replace(extra_maps={"trusty_map": trusty_map})

    def calibrate(self, prediction: Prediction, seen: Tensor) -> Prediction:
        """``(P_seen - gamma) * M_A`` and ``P_unseen * (1 - M_A)``, by ``trusty_weighting``."""
        probabilities, maps = super().calibrate(prediction, seen)
        weighted = weight_by_trust(probabilities, maps["trusty_map"], seen, self.trusty_weighting)
        return Prediction(weighted, maps)

    def protocol(self, inductive: bool) -> dict[str, Any]:
        return {
            **super().protocol(inductive),
            "trusty_weighting": self.trusty_weighting if inductive else "none",
            "trusty_target": self.trusty_target,
        }
