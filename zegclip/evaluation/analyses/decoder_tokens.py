"""What a decoder does to class embeddings and patches: drift and contraction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zegclip.heads import ATMDecoder
from zegclip.segmentors import EncodedWindows
from zegclip.segmentors.sliding_window import Box
from zegclip.vocabulary import IGNORE_INDEX

from .analysis import ANALYSES, AnalysedImage, Analysis

# The cosines that are measured, of which pairs of tokens.
COSINES = (
    "adapted",  # the text encoder's class embedding, and the query that the decoder takes
    "decoded",  # the text encoder's class embedding, and what the decoder makes of the query
    "from_clip",  # CLIP's own class embedding, and what the decoder makes of the query
    "own_class_before",  # a patch and the class of its label, before the decoder
    "own_class_after",  # a patch and the class of its label, after the decoder
    "other_classes_before",  # a patch and every other class (their mean), before the decoder
    "other_classes_after",  # a patch and every other class (their mean), after the decoder
)


class Tokens(NamedTuple):
    """Tokens as a decoder takes them (before), and as the masks are made of them (after).

    Attributes:
        classes: class tokens before and after, ``(B, C, D)`` each.
        patches: patch tokens before and after, ``(B, N, D)`` each.
    """

    classes: tuple[Tensor, Tensor]
    patches: tuple[Tensor, Tensor]


class Call(NamedTuple):
    """A call of a module.

    Attributes:
        inputs: its positional arguments.
        output: what it returned.
    """

    inputs: tuple[Any, ...]
    output: Any


def token_cosines(
    embeddings: Tensor, by_clip: Tensor, tokens: Tokens, labels: Tensor, seen: Tensor
) -> Tensor:
    """The cosines that are named in :data:`COSINES`.

    Args:
        embeddings: the text encoder's class embeddings (T), ``(C, D)``.
        by_clip: CLIP's own class embeddings, ``(C, D)``; the same where the text encoder does not
            learn.
        tokens: the tokens of B windows.
        labels: the patches' labels, ``(B, N)``, 255 = ignored.
        seen: which classes are seen, ``(C,)`` bool.

    Returns:
        ``(2, 7, 2)`` float64: for seen and for unseen classes each cosine's sum and number.
    """

    def summed(values: Tensor, of_seen: Tensor) -> Tensor:
        groups = torch.stack([of_seen, ~of_seen]).double()
        return torch.stack([groups @ values.double(), groups.sum(1)], 1)

    sums = []
    taken, made = tokens.classes
    for start, classes in ((embeddings, taken), (embeddings, made), (by_clip, made)):
        similar = F.cosine_similarity(start, classes, dim=-1)  # (B, C)
        sums.append(summed(similar.flatten(), seen.expand_as(similar).flatten()))
    kept = labels != IGNORE_INDEX
    label = labels[kept]  # (M,)
    own, others = [], []
    for classes, patches in zip(*tokens):
        similar = (F.normalize(patches, dim=-1) @ F.normalize(classes, dim=-1).mT)[kept]  # (M, C)
        of_label = similar.gather(1, label[:, None])[:, 0]
        own.append(summed(of_label, seen[label]))
        mean = (similar.sum(1) - of_label) / (len(seen) - 1)
        others.append(summed(mean, seen[label]))
    return torch.stack([*sums, *own, *others], 1)


def patch_labels(
    labels: np.ndarray, box: Box, grid: tuple[int, int], patch_size: int, image_size: tuple
) -> np.ndarray:
    """The label at the centre of each patch of a window, ``(h * w,)``; 255 outside of the image.

    Args:
        labels: the image's, at its size on disk, ``(H, W)``.
        box: the window's place in the image that the model was given.
        grid: how many patches a window has, (h, w).
        patch_size: side of a patch, pixels.
        image_size: (H, W) of the image that the model was given, without padding.
    """
    places = []
    for first, count, given, own in zip(box[:2], grid, image_size, labels.shape):
        centres = first + (np.arange(count) + 0.5) * patch_size
        places.append(np.where(centres < given, centres * own / given, own).astype(int))
    return np.pad(labels, (0, 1), constant_values=IGNORE_INDEX)[np.ix_(*places)].ravel()


@contextmanager
def calls_of(module: nn.Module) -> Iterator[list[Call]]:
    """Within, each call of the module is put into the list."""
    calls: list[Call] = []
    handle = module.register_forward_hook(lambda _, *call: calls.append(Call(*call)))
    try:
        yield calls
    finally:
        handle.remove()


@ANALYSES.register_module()
class DecoderTokens(Analysis):
    """Semantic drift of the classes and contraction of the patches."""

    section = "tokens"
    decoder: type[nn.Module] = ATMDecoder  # the head's must be one of these

    def applies(self) -> bool:
        decoder = getattr(self.model.decode_head, "decoder", None)
        return super().applies() and isinstance(decoder, self.decoder)

    @cached_property
    def by_clip(self) -> Tensor:
        """CLIP's own class embeddings, ``(C, D)``; the model's where its text encoder is CLIP's."""
        embeddings = self.model.class_embeddings()
        if not self.model.text_encoder.learns:
            return embeddings
        return self.model.text_encoder.embed_by_clip(self.vocabulary.words).to(embeddings)

    def tokens(self, windows: EncodedWindows) -> Tokens:
        """The tokens of some windows before and after the head's decoder."""
        head, embeddings = self.model.decode_head, self.model.class_embeddings()
        with calls_of(head.decoder) as decoder, calls_of(head.decoder.mask_attention) as masks:
            head(windows.patch_embeddings, windows.cls_embedding, embeddings)
        queries = decoder[0].inputs[0]
        decoded, patches = masks[0].inputs[:2]
        classes = len(embeddings)  # (a method may have more queries behind those of the classes)
        return Tokens((queries[:, :classes], decoded[:, :classes]), (patches, patches))

    def count(self, image: AnalysedImage) -> np.ndarray:
        embeddings, by_clip = self.model.class_embeddings(), self.by_clip
        seen = torch.as_tensor(self.seen, device=embeddings.device)
        size, side = image.metainfo["img_shape"][:2], self.model.image_encoder.patch_size
        sums = torch.zeros(2, len(COSINES), 2)
        for windows in image.windows:
            grid = (windows.patch_embeddings.shape[-2], windows.patch_embeddings.shape[-1])
            labels = [patch_labels(image.labels, box, grid, side, size) for box in windows.boxes]
            on_device = torch.as_tensor(np.stack(labels), device=embeddings.device)
            tokens = self.tokens(windows)
            sums = sums + token_cosines(embeddings, by_clip, tokens, on_device, seen).cpu()
        return sums.numpy()

    def result(self) -> dict[str, Any]:
        found = {}
        for name, (sums, numbers) in zip(("seen", "unseen"), self.counts.transpose(0, 2, 1)):
            cosines = {
                key: float(total / number)
                for key, total, number in zip(COSINES, sums, numbers)
                if number
            }
            drift = {f"drift_{key}": 1 - cosines.pop(key) for key in COSINES[:3]}
            found[name] = drift | {f"patch_and_{key}": value for key, value in cosines.items()}
        return found
