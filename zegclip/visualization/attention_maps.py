"""A head's attention over a whole image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from zegclip.heads import Prediction, upsample
from zegclip.segmentors import EncodedWindows, ZeroShotSegmentor, merge_windows, to_original
from zegclip.segmentors.sliding_window import Box


@torch.no_grad()
def attention_maps(model: ZeroShotSegmentor, data: Mapping[str, Any]) -> Tensor:
    """How much the classes and the pixels of an image attend to each other, in the last layer.

    Args:
        model: in evaluation mode, with a vocabulary.
        data: the image as a batch of one, as ``model.test_step`` takes it.

    Returns:
        ``(C, H0, W0)`` at the size of the image on disk; of windows that overlap, the mean. What
        it is says ``model.decode_head.attention_meaning``.
    """
    data = model.data_preprocessor(data, False)
    inputs = data["inputs"]
    size = (inputs.shape[-2], inputs.shape[-1])
    attention = attention_of_windows(model, model.encode_windows(inputs), size)
    return to_original(attention[0], data["data_samples"][0].metainfo)


def attention_of_windows(
    model: ZeroShotSegmentor, windows: Iterable[EncodedWindows], size: tuple[int, int]
) -> Tensor:
    """As :func:`attention_maps` of an encoded image, ``(1, C, H, W)`` at the size of the input.

    Args:
        model: as there.
        windows: from ``model.encode_windows``.
        size: (H, W) of the image that they are of.
    """

    def attended() -> Iterator[tuple[Sequence[Box], Prediction]]:
        for boxes, patches, cls in windows:
            output = model.decode_head(patches, cls, model.class_embeddings())
            height, width = (side * model.image_encoder.patch_size for side in patches.shape[-2:])
            yield boxes, Prediction(upsample(model.decode_head.attention(output), (height, width)))

    return merge_windows(attended(), size).probabilities
