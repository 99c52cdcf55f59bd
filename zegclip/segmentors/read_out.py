"""From a head's maps at pixels to the probabilities of a vocabulary's classes."""

from __future__ import annotations

import torch
from torch import Tensor

from zegclip.heads import HeadOutput, Prediction, ZeroShotHead
from zegclip.vocabulary import Vocabulary

BACKGROUND = "background"


class ReadOut:
    """What is asked of a head, and what its answer says of the classes.

    Args:
        head: the model's.
        vocabulary: the classes; theirs are the result's maps.
        seen: ``(C,)`` bool, for the head's calibration; ``None``: without it.
        background_threshold: see :func:`~zegclip.segmentors.sliding_window.checked_test_cfg`.

    Attributes:
        queries: what the head is asked for: the classes, or each of their words by itself.

    Example:
        >>> read_out = ReadOut(head, vocabulary, seen=None)
        >>> output = head(patches, cls, text_encoder(read_out.queries)).upsampled((512, 512))
        >>> read_out(output).probabilities.shape
        torch.Size([1, 20, 512, 512])
    """

    def __init__(
        self,
        head: ZeroShotHead,
        vocabulary: Vocabulary,
        seen: Tensor | None = None,
        background_threshold: float | None = None,
    ) -> None:
        self._head = head
        self._seen = seen
        self.queries = vocabulary.by_word if head.words_apart else vocabulary
        self._words: list[list[int]] | None = None
        if self.queries.words != vocabulary.words:
            place = {word: index for index, word in enumerate(self.queries.classes)}
            self._words = [[place[word] for word in words] for words in vocabulary.words]
        self._threshold = background_threshold
        self._background = None
        if background_threshold is not None and BACKGROUND in vocabulary.classes:
            self._background = vocabulary.classes.index(BACKGROUND)

    def __call__(self, output: HeadOutput) -> Prediction:
        """Of maps ``(B, K, H, W)`` at pixels; a function of each pixel."""
        prediction = self._head.predict(output)
        probabilities = prediction.probabilities
        if self._words is not None:  # a class has the probability of its best word
            best = [probabilities[:, words].amax(dim=1) for words in self._words]
            prediction = prediction._replace(probabilities=torch.stack(best, dim=1))
        if self._seen is not None:
            prediction = self._head.calibrate(prediction, self._seen)
        if self._background is not None:
            # Where no class has as much, the background now is the most probable.
            prediction.probabilities[:, self._background].clamp_(min=self._threshold)
        return prediction
