"""What every method's head is to the segmentor, its tests and its configs."""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from contextlib import AbstractContextManager
from typing import Any, ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn

from zegclip.errors import InputError

from .shown import RegionRoutes


class HeadOutput(NamedTuple):
    """What a head makes of a batch, at the patch grid's size.

    Attributes:
        mask_logits: ``(B, C, h, w)``, one map a queried class.
        trusty_logits: ``(B, 1, h, w)``, where the head has a trusty token, else ``None``.
    """

    mask_logits: Tensor
    trusty_logits: Tensor | None = None


class HeadPrediction(NamedTuple):
    """What a head predicts for a batch, at the image's size.

    Attributes:
        probabilities: ``(B, C, H, W)``; after calibration a seen class's may be below 0.
        trusty_map: M_A = P(seen), ``(B, 1, H, W)``, where there is one, else ``None``.
    """

    probabilities: Tensor
    trusty_map: Tensor | None = None


class ZeroShotHead(BaseModule, metaclass=ABCMeta):
    """Base of the heads: patch, CLS and class embeddings in, one mask a class out.

    A head has no parameter that belongs to a class, so it takes any number of class embeddings
    in any order. A new method fills :meth:`forward` and, where it needs more, :meth:`losses`
    and :meth:`predict`; the tests of ``tests/heads/base.py`` then apply to it.

    Args:
        embed_dims: D, CLIP's joint dimension (filled in by the segmentor).
        loss: the mask loss, a config for the registry.
        gamma: subtracted from the probabilities of seen classes in the inductive setting
            (ZegCLIP, Sec. 3.4: 0.1). Belongs to the protocol.
        init_std: standard deviation of the truncated normal from which the weights of linear
            layers start, biases at 0 (inferred); ``None`` keeps torch's own start.
        aligned_start: where set, masks start as CLIP's own similarity of class embeddings and
            patches, times about this gain squared (see :meth:`start_aligned`); ours, not the
            papers'. It skips the plateau at which all masks are empty, on which a small model
            with a short schedule otherwise stays.
        init_cfg: mmengine's.
    """

    # Whether the losses need to know which pixels are of unseen classes.
    needs_unseen_map: bool = False
    # Which figures (zegclip.heads.shown) the method has, so that a tool can say before it builds
    # a model that there is nothing to draw.
    figures: ClassVar[frozenset[str]] = frozenset()
    # What attention_maps() returns, for a figure's caption.
    attention_meaning: str = "softmax of the class's mask logits over the patches"

    def __init__(
        self,
        embed_dims: int,
        loss: dict[str, Any] | None = None,
        gamma: float = 0.1,
        init_std: float | None = 0.02,
        aligned_start: float | None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.embed_dims = embed_dims
        self.mask_loss = MODELS.build({"type": "MaskLoss", **(loss or {})})
        self.gamma = gamma
        self.init_std = init_std
        self.aligned_start = aligned_start

    def init_weights(self) -> None:
        """Start the linear layers (``init_std``, ``aligned_start``)."""
        super().init_weights()
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
        raise ValueError(f"{type(self).__name__} has no aligned start: set aligned_start=None")

    def quirks(self) -> dict[str, bool]:
        """Settings that no shape shows and that a checkpoint must be used with as trained."""
        return {}

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
            unseen_map: ``(B, H, W)`` bool, true on pixels of unseen classes; only given where
                the config asks for it, since it shows unseen masks to training.

        Returns:
            Weighted scalars by name, to be summed.
        """
        return self.mask_loss(upsample(output.mask_logits, labels.shape[-2:]), labels)

    def predict(
        self, output: HeadOutput, size: tuple[int, int], seen: Tensor, inductive: bool
    ) -> HeadPrediction:
        """Probabilities at the image's size.

        Args:
            output: from :meth:`forward`, with all classes as queries.
            size: (H, W) of the image that was encoded.
            seen: ``(C,)`` bool, which classes are seen.
            inductive: whether the setting is the inductive one: calibrate by ``gamma``.
        """
        probabilities = upsample(output.mask_logits, size).sigmoid()
        if inductive:
            probabilities = calibrate(probabilities, seen, self.gamma)
        return HeadPrediction(probabilities)

    def attention_maps(self, output: HeadOutput) -> Tensor:
        """How much each class and each patch attend to each other, in the last layer.

        What exactly that is differs between methods: ``attention_meaning`` says it.

        Args:
            output: from :meth:`forward`.

        Returns:
            ``(B, C, h, w)``, from 0 to 1.
        """
        logits = output.mask_logits
        return logits.float().flatten(2).softmax(dim=-1).view_as(logits)

    def region_routes(
        self, patch_embeddings: Tensor, cls_embedding: Tensor, class_embeddings: Tensor
    ) -> RegionRoutes:
        """Which regions of the image attend to which, where the method has regions.

        Args:
            patch_embeddings: as in :meth:`forward`.
            cls_embedding: as in :meth:`forward`.
            class_embeddings: as in :meth:`forward`.

        Raises:
            InputError: it has none.
        """
        raise InputError(f"{type(self).__name__} has no attention among regions of the image")

    def without_region_attention(self) -> AbstractContextManager[None]:
        """Within, :meth:`forward` leaves the attention among regions out.

        Raises:
            InputError: there is none.
        """
        raise InputError(f"{type(self).__name__} has no attention among regions of the image")

    def protocol(self, inductive: bool) -> dict[str, Any]:
        """The head's choices that a reported number depends on.

        Args:
            inductive: as in :meth:`predict`.
        """
        return {"gamma": self.gamma if inductive else 0.0, "trusty_weighting": "none"}


def upsample(logits: Tensor, size: tuple[int, int] | Any) -> Tensor:
    """Bilinear (``align_corners=False``): ``(B, C, h, w)`` -> float32 ``(B, C, H, W)``."""
    # In half precision a sigmoid of 9 is 1, and arg-max would choose by class order.
    logits = logits if logits.dtype == torch.float64 else logits.float()
    return F.interpolate(logits, size=tuple(size), mode="bilinear", align_corners=False)


def calibrate(probabilities: Tensor, seen: Tensor, gamma: float) -> Tensor:
    """``P_seen - gamma``: seen classes are overconfident after training on them alone.

    Args:
        probabilities: ``(B, C, H, W)``.
        seen: ``(C,)`` bool.
        gamma: what to subtract.

    Source: ZegCLIP, Sec. 3.4 (inference).
    """
    return probabilities - gamma * seen.to(probabilities.dtype)[:, None, None]
