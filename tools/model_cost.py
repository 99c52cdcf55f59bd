"""What a model costs: learnable parameters, and operations for one image."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from model_converters import HEADS, unused_parameters
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from zegclip.segmentors import ZeroShotSegmentor
from zegclip.vocabulary import Vocabulary

PARTS = ("image_encoder", "text_encoder", "decode_head")


def learnable_parameters(model: ZeroShotSegmentor) -> dict[str, int]:
    """Learnable numbers by part, and ``total``: all that the model holds.

    Of ZegCLIP's and TagCLIP's last decoder layer only the query and key projections bear on a mask;
    its other 2.63 M are counted here, as in the papers, but get no gradient
    (:class:`~zegclip.heads.ATMDecoder`).
    """
    counts = {part: _learnable(model.get_submodule(part)) for part in PARTS}
    return counts | {"total": sum(counts.values())}


def learnable_as_published(model: ZeroShotSegmentor) -> int | None:
    """The count as the papers' code makes it, which includes what nothing calls there.

    ZegCLIP's decoder has three self-attention blocks with their norms that nothing calls (3.15 M,
    which our model does not have), TagCLIP's two such norms (2 K). ``None`` for a method without
    published code.
    """
    head = type(model.decode_head).__name__
    for method, name in HEADS.items():
        if name == head:
            unused = unused_parameters(model, method).values()
            return _learnable(model) + sum(value.numel() for value in unused)
    return None


@torch.no_grad()
def gigaflops(
    model: ZeroShotSegmentor, size: tuple[int, int], vocabulary: Vocabulary
) -> dict[str, float]:
    """Operations by part, in 10^9; one multiply-add is one, as papers count.

    ``total`` is for one image at test time: image encoder and head. ``text_encoder`` is for the
    class embeddings of the vocabulary: once and for all where the text encoder is fixed (they are
    cached), in every training step where it learns. Products of matrices and convolutions count,
    as torch's counter has it; norms, activations and interpolation do not.

    Args:
        model: on the CPU; its weights do not matter.
        size: (H, W) of the image, multiples of the patch size.
        vocabulary: the classes that are asked for.
    """
    was_training = model.training
    model.eval()
    image = torch.zeros(1, 3, *size)
    classes = torch.randn(len(vocabulary.classes), model.image_encoder.embed_dims)
    with _counting() as encoder:
        embeddings = model.image_encoder(image)
    with _counting() as head:
        model.decode_head(*embeddings, classes)
    counts = {"image_encoder": _billions(encoder), "decode_head": _billions(head)}
    counts["total"] = sum(counts.values())
    counts["text_encoder"] = _of_class_embeddings(model, vocabulary)
    model.train(was_training)
    return counts


def _of_class_embeddings(model: ZeroShotSegmentor, vocabulary: Vocabulary) -> float:
    """By shapes alone: thousands of texts (classes x templates) would take minutes on one core."""
    encoder = model.text_encoder
    # Remembered as real tensors before, for the encoder keeps them.
    encoder._tokens_of(tuple(word for words in vocabulary.words for word in words))
    with FakeTensorMode(allow_non_fake_inputs=True), _counting() as text:
        encoder.embed(vocabulary.words)  # not its cache on disk
    return _billions(text)


@contextmanager
def _counting() -> Iterator[FlopCounterMode]:
    """torch's counter, with attention in parts that it knows: it does not see fused kernels.

    Of ZegCLIP's image encoder on VOC, 108.7 G, it would see 89.0 with fused attention and 59.7 with
    the fast path of torch's multi-head attention (torch 2.x, CPU).
    """
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            yield counter
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)


def _billions(counter: FlopCounterMode) -> float:
    return counter.get_total_flops() / 2 / 1e9  # torch counts two for a multiply-add


def _learnable(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def model_cost(
    model: ZeroShotSegmentor, size: tuple[int, int], vocabulary: Vocabulary
) -> dict[str, Any]:
    """All of the above as plain data.

    Args:
        model: on the CPU.
        size: (H, W) of the image.
        vocabulary: the classes that are asked for.
    """
    return {
        "image": list(size),
        "classes": len(vocabulary.classes),
        "learnable": learnable_parameters(model),
        "learnable_as_published": learnable_as_published(model),
        "gflops": gigaflops(model, size, vocabulary),
    }
