"""A head's attention over a whole image."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from zegclip.heads import HeadOutput
from zegclip.segmentors import (
    EncodedWindows,
    ZeroShotSegmentor,
    as_prediction,
    predictions_of_images,
    to_original,
)


@torch.no_grad()
def attention_maps(model: ZeroShotSegmentor, data: Mapping[str, Any]) -> Tensor:
    """How much the classes and the pixels of an image attend to each other, in the last layer.

    Args:
        model: in evaluation mode, with a vocabulary.
        data: the image as a batch of one, as ``model.test_step`` takes it.

    Returns:
        ``(C, H0, W0)`` at the size of the image on disk; where windows overlap, their mean.
        ``model.decode_head.attention_meaning`` says what the numbers mean.
    """
    data = model.data_preprocessor(data, False)
    inputs = data["inputs"]
    size = (inputs.shape[-2], inputs.shape[-1])
    attention = attention_of_windows(model, model.encode_windows(inputs), size)
    return to_original(attention, data["data_samples"][0].metainfo)


def attention_of_windows(
    model: ZeroShotSegmentor,
    windows: Iterable[EncodedWindows],
    size: tuple[int, int],
    classes: slice = slice(None),
) -> Tensor:
    """As :func:`attention_maps`, for an image that is encoded already.

    Args:
        model: in evaluation mode, with a vocabulary.
        windows: the image's, from ``model.encode_windows``.
        size: (H, W) of the model's input.
        classes: the classes whose maps are returned; the model is asked for its whole vocabulary.

    Returns:
        ``(C, H, W)`` at the size of the model's input.
    """
    head, embeddings = model.decode_head, model.class_embeddings()
    groups = (
        (boxes, HeadOutput(head.attention(head(patches, cls, embeddings))[:, classes]))
        for boxes, patches, cls in windows
    )
    (found,) = predictions_of_images(groups, size, model.image_encoder.patch_size, as_prediction)
    return found.whole().probabilities
