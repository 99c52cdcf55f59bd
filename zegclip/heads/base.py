"""The base of every method's head: its interface to the segmentor, its tests and its configs."""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn

from zegclip.errors import InputError
from zegclip.vocabulary import Background

_NO_MAPS: Mapping[str, Tensor] = {}


class HeadOutput(NamedTuple):
    """A head's output for a batch, at the patch grid's size.

    Attributes:
        mask_logits: ``(B, C, h, w)``, one map per queried class.
        extra_maps: what the method has beside the masks, by name: logits ``(B, K, h, w)``, with a
            K that does not depend on the classes.
        for_losses: what :meth:`ZeroShotHead.losses` needs beside them, of any shape; a prediction
            does not look at it.
    """

    mask_logits: Tensor
    extra_maps: Mapping[str, Tensor] = _NO_MAPS
    for_losses: Mapping[str, Tensor] = _NO_MAPS

    def upsampled(self, size: tuple[int, int]) -> HeadOutput:
        """The maps at the image's size (see :func:`upsample`)."""
        maps = {name: upsample(each, size) for name, each in self.extra_maps.items()}
        return HeadOutput(upsample(self.mask_logits, size), maps)


class Prediction(NamedTuple):
    """What a head predicts for a batch, at pixels.

    Attributes:
        probabilities: ``(B, C, H, W)``; after calibration a seen class's may be below 0.
        extra_maps: by name, ``(B, K, H, W)``, 0..1. The segmentor averages them over windows,
            resizes them and puts them into the result under their names.
    """

    probabilities: Tensor
    extra_maps: Mapping[str, Tensor] = _NO_MAPS


class ZeroShotHead(BaseModule, metaclass=ABCMeta):
    """Base of the heads: patch, CLS and class embeddings in, one mask per class out.

    A head has no parameter that belongs to a class, so it takes any number of class embeddings
    in any order. A new method fills :meth:`forward` and, where it differs from ZegCLIP, overrides
    :meth:`losses`, :meth:`predict` and :meth:`calibrate`; the tests of ``tests/heads/base.py`` then
    apply to it.

    Args:
        embed_dims: D, CLIP's joint dimension (filled in by the segmentor).
        loss: the mask loss, arguments of :class:`~zegclip.losses.MaskLoss`.
        gamma: subtracted from the probabilities of seen classes in the inductive setting
            (ZegCLIP, Sec. 3.4: 0.1). Belongs to the protocol.
        init_std: standard deviation of the truncated normal from which the weights of linear
            layers start, biases at 0 (published code); ``None`` keeps torch's own start.
        aligned_start: where set, mask logits start as CLIP's own cosines of class embeddings and
            patches, times about ``aligned_start² / √num_heads`` (see :meth:`start_aligned`); ours,
            not the papers'. It skips the plateau at which all masks are empty, on which a small
            model with a short schedule otherwise stays.
        background: arguments of :class:`~zegclip.vocabulary.Background`: what is none of a person's
            own words, unless one says otherwise. Default: where no mask says yes (0.5).
        init_cfg: mmengine's.

    Example:
        >>> @MODELS.register_module()
        ... class CosineHead(ZeroShotHead):
        ...     def forward(self, patch_embeddings, cls_embedding, class_embeddings):
        ...         cosine = torch.einsum("bdhw,cd->bchw", patch_embeddings, class_embeddings)
        ...         return HeadOutput(20 * cosine)
    """

    # Whether there is anything to learn.
    learns: bool = True
    # Whether every synonym is a query, and a class takes the highest of their probabilities; else
    # there is one query a class, the mean of its words' embeddings.
    words_apart: bool = False
    # Whether windows that overlap are averaged as logits, or as what predict() makes of them.
    averages_logits: bool = False
    # Whether the losses need to know which pixels are of unseen classes.
    needs_unseen_map: bool = False
    # What attention() returns, for a figure's caption.
    attention_meaning: str = "softmax over the patches of the mask logits of the class"

    def __init__(
        self,
        embed_dims: int,
        loss: dict[str, Any] | None = None,
        gamma: float = 0.1,
        init_std: float | None = 0.02,
        aligned_start: float | None = None,
        background: dict[str, Any] | None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.embed_dims = embed_dims
        self.mask_loss = MODELS.build({"type": "MaskLoss", **(loss or {})})
        self.gamma = gamma
        self.init_std = init_std
        self.aligned_start = aligned_start
        self.background = Background(**(background or {"threshold": 0.5}))

    def init_weights(self) -> None:
        """Start the linear layers (``init_std``, ``aligned_start``), or as ``init_cfg`` says."""
        super().init_weights()
        if self.init_cfg:
            return
        if self.init_std is not None:
            for module in self.modules():
                if isinstance(module, nn.Linear):
                    nn.init.trunc_normal_(module.weight, std=self.init_std)
                    if module.bias is not None:
                        nn.init.zeros_(module.bias)
        if self.aligned_start is not None:
            self.start_aligned(self.aligned_start)

    def start_aligned(self, gain: float) -> None:
        """Let the masks start from the similarity of class embeddings and patches.

        Args:
            gain: added as a multiple of the identity to the query and the key projection whose
                product is the mask.
        """
        raise InputError(f"{type(self).__name__} has no aligned start: set aligned_start=None")

    @abstractmethod
    def forward(
        self, patch_embeddings: Tensor, cls_embedding: Tensor, class_embeddings: Tensor
    ) -> HeadOutput:
        """Decode the masks of the classes that are asked for.

        Args:
            patch_embeddings: V, ``(B, D, h, w)``, unit length over D.
            cls_embedding: g, ``(B, D)``, unit length.
            class_embeddings: T, ``(C, D)``, unit length.

        Returns:
            Maps of the C classes, in the order of ``class_embeddings``.
        """

    def losses(
        self, output: HeadOutput, labels: Tensor, unseen_map: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Losses of a batch.

        Args:
            output: from :meth:`forward`, with the training classes as queries.
            labels: ``(B, H, W)``: index of the query class, or 255.
            unseen_map: ``(B, H, W)`` bool, true on pixels of unseen classes, in self-training on
                pseudo-labelled ones. ``None`` unless ``needs_unseen_map`` or the setting is
                transductive: it may show unseen masks to training.

        Returns:
            Weighted scalars by name, to be summed.
        """
        return self.mask_loss(output.mask_logits, labels)

    def predict(self, output: HeadOutput) -> Prediction:
        """Probabilities, and the sigmoid of every extra map.

        Must be pixel-wise, as :meth:`calibrate`: the segmentor predicts any part of an image.

        Args:
            output: what :meth:`forward` made with all classes as queries, upsampled to pixels.

        Source: ZegCLIP (inference).
        """
        maps = {name: each.sigmoid() for name, each in output.extra_maps.items()}
        return Prediction(output.mask_logits.sigmoid(), maps)

    def calibrate(self, prediction: Prediction, seen: Tensor) -> Prediction:
        """``P_seen - gamma``: seen classes are overconfident after training on them alone.

        Called in the inductive setting only, where predictions are read out and by exported models.

        Args:
            prediction: from :meth:`predict`.
            seen: ``(C,)`` bool, which classes are seen.

        Source: ZegCLIP, Sec. 3.4 (inference).
        """
        shift = self.gamma * seen.to(prediction.probabilities.dtype)[:, None, None]
        return prediction._replace(probabilities=prediction.probabilities - shift)

    def attention(self, output: HeadOutput) -> Tensor:
        """Attention between classes and patches in the last layer, for figures.

        ``attention_meaning`` says over which axis it sums to 1.

        Args:
            output: from :meth:`forward`.

        Returns:
            ``(B, C, h, w)``, from 0 to 1.
        """
        logits = output.mask_logits
        return logits.float().flatten(2).softmax(dim=-1).view_as(logits)

    def protocol(self, inductive: bool) -> dict[str, Any]:
        """The head's choices that a reported number depends on.

        Args:
            inductive: whether predictions are calibrated.
        """
        return {"gamma": self.gamma if inductive else 0.0}

    def fixed_settings(self) -> dict[str, bool]:
        """Settings that a checkpoint must be used with as trained, but that no shape shows.

        Each by its place in the config, and whether it is on.
        """
        return {}


def upsample(logits: Tensor, size: tuple[int, int] | Any) -> Tensor:
    """Bilinear (``align_corners=False``): ``(B, C, h, w)`` -> ``(B, C, H, W)``, float32 or 64."""
    # In half precision a sigmoid of 9 is 1, and arg-max would choose by class order.
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return F.interpolate(logits, size=tuple(size), mode="bilinear", align_corners=False)
