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

# Cosines of the text encoder's class embedding with what the decoder takes and with what it makes
# of that, of CLIP's own with the latter, and of a patch with the class of its label and with all
# other classes, before the decoder and after.
COSINES = (
    "adapted", "decoded", "from_clip", "own_class_before", "own_class_after",
    "other_classes_before", "other_classes_after",
)  # fmt: skip


class Tokens(NamedTuple):
    """Tokens as a decoder takes them, and as the masks are made of them.

    Attributes:
        classes: before and after, ``(B, C, D)``.
        patches: before and after, ``(B, N, D)``.
    """

    classes: tuple[Tensor, Tensor]
    patches: tuple[Tensor, Tensor]


def token_cosines(
    embeddings: Tensor, by_clip: Tensor, tokens: Tokens, labels: Tensor, seen: Tensor
) -> Tensor:
    """The cosines that are named in :data:`COSINES`.

    Args:
        embeddings: T, ``(C, D)``.
        by_clip: the same where the text encoder learns nothing.
        tokens: of B windows.
        labels: of the patches, ``(B, N)``, 255 = ignored.
        seen: ``(C,)`` bool.

    Returns:
        ``(2, 7, 2)`` float64: of seen and of unseen classes, each cosine, its sum and number.
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
        labels: at the size of the image on disk, ``(H, W)``.
        box: of the window in the image that the model was given.
        grid: (h, w).
        patch_size: pixels.
        image_size: (H, W) of the image that the model was given, without padding.
    """
    places = []
    for first, count, given, own in zip(box[:2], grid, image_size, labels.shape):
        centres = first + (np.arange(count) + 0.5) * patch_size
        places.append(np.where(centres < given, centres * own / given, own).astype(int))
    return np.pad(labels, (0, 1), constant_values=IGNORE_INDEX)[np.ix_(*places)].ravel()


@contextmanager
def calls_of(module: nn.Module) -> Iterator[list[tuple[tuple[Any, ...], Any]]]:
    """Within, the inputs and the output of each call of a module are put into the list."""
    calls: list[tuple[tuple[Any, ...], Any]] = []
    handle = module.register_forward_hook(lambda _, inputs, output: calls.append((inputs, output)))
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
        """CLIP's own class embeddings, ``(C, D)``: T where the text encoder does not learn."""
        embeddings = self.model.class_embeddings()
        if not self.model.text_encoder.learns:
            return embeddings
        return self.model.text_encoder.embed_by_clip(self.vocabulary.words).to(embeddings)

    def tokens(self, windows: EncodedWindows) -> Tokens:
        """What the head's decoder makes of some windows."""
        head, embeddings = self.model.decode_head, self.model.class_embeddings()
        with calls_of(head.decoder) as decoder, calls_of(head.decoder.mask_attention) as masks:
            head(windows.patch_embeddings, windows.cls_embedding, embeddings)
        # (A method may have queries behind the classes.)
        queries, made = (calls[0][0][0][:, : len(embeddings)] for calls in (decoder, masks))
        patches = masks[0][0][1]
        return Tokens((queries, made), (patches, patches))

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
