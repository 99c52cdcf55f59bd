"""From a head's maps at pixels to the probabilities of a vocabulary's classes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from zegclip.heads import HeadOutput, Prediction, ZeroShotHead
from zegclip.vocabulary import Background, Vocabulary, background_id, name_key

# Name of the extra map of an exported head, which calibrates itself: see calibration_shift().
CALIBRATION_SHIFT = "raised"


class ReadOut:
    """The queries of a head, and the classes' probabilities from its output.

    Args:
        head: the model's.
        vocabulary: the classes; theirs are the result's maps.
        seen: ``(C,)`` bool, for the head's calibration; ``None``: without it.
        background: what is none of the classes; it is compared with them before the calibration,
            which says nothing of it. It gets the map of the class called ``background``, else one
            of its own after the classes'.

    Attributes:
        queries: what the head is asked for: the classes, or each of their words by itself, and
            the words of the background.

    Example:
        >>> read_out = ReadOut(head, vocabulary, background=Background(threshold=0.5))
        >>> output = head(patches, cls, text_encoder(read_out.queries)).upsampled((512, 512))
        >>> read_out(output).probabilities.shape
        torch.Size([1, 21, 512, 512])
    """

    def __init__(
        self,
        head: ZeroShotHead,
        vocabulary: Vocabulary,
        seen: Tensor | None = None,
        background: Background | None = None,
    ) -> None:
        self._head = head
        self._seen = seen
        self.queries = vocabulary.by_word if head.words_apart else vocabulary
        self._words: list[list[int]] | None = None
        if self.queries.words != vocabulary.words:
            index = {name_key(word): i for i, word in enumerate(self.queries.classes)}
            self._words = [[index[name_key(word)] for word in words] for words in vocabulary.words]
        self._num_class_queries = len(self.queries.classes)
        if background is not None and (words := background.words_beside(vocabulary)):
            self.queries = self.queries.with_words(words)
        self._background = background
        self._classes = vocabulary.classes

    def __call__(self, output: HeadOutput) -> Prediction:
        """The prediction for maps ``(B, K, H, W)`` at pixels; pixel-wise."""
        all_probabilities, maps = self._head.predict(output)
        extra_maps = dict(maps)
        shift: Tensor | float = extra_maps.pop(CALIBRATION_SHIFT, 0.0)
        probabilities = all_probabilities[:, : self._num_class_queries]
        if self._words is not None:  # a class has the probability of its best word
            best = [probabilities[:, words].amax(dim=1) for words in self._words]
            probabilities = torch.stack(best, dim=1)
        prediction = Prediction(probabilities, extra_maps)
        if self._seen is not None:
            prediction = self._head.calibrate(prediction, self._seen)
        if self._background is not None:
            if self._seen is not None:
                shift = calibration_shift(probabilities, prediction.probabilities)
            background_probabilities = all_probabilities[:, self._num_class_queries :]
            prediction = with_background(
                prediction, background_probabilities, shift, self._background, self._classes
            )
        return prediction


def calibration_shift(plain: Tensor, calibrated: Tensor) -> Tensor:
    """How far calibration moves the probability of each pixel's best class.

    Added to the background's probability, it keeps the decision "background or class" what it was
    before calibration.

    Args:
        plain: probabilities of the classes before calibration, ``(B, C, H, W)``.
        calibrated: those after it, ``(B, C, H, W)``.

    Returns:
        ``(B, 1, H, W)``.
    """
    return calibrated.amax(dim=1, keepdim=True) - plain.amax(dim=1, keepdim=True)


def with_background(
    prediction: Prediction,
    background_probabilities: Tensor,
    shift: Tensor | float,
    background: Background,
    names: Sequence[str],
) -> Prediction:
    """Background is as probable as its best word, and no less than its threshold.

    Args:
        prediction: of the classes.
        background_probabilities: of the background's words, ``(B, W, H, W)``.
        shift: from :func:`calibration_shift`, if the prediction is calibrated; else 0.
        background: whose threshold counts.
        names: of the classes. One called ``background`` is it; else it gets a map of its own, the
            last.
    """
    classes = prediction.probabilities
    background_class = background_id(names)
    index = len(names) if background_class is None else background_class
    # Without a threshold nothing is below it. (Not infinite: maps are interpolated.)
    threshold = -1.0 if background.threshold is None else background.threshold
    floor = torch.full_like(classes[:, :1], threshold)
    best_word = torch.cat([floor, background_probabilities], dim=1).amax(1, keepdim=True)
    own_map = classes[:, index : index + 1]  # of the class, if there is one
    best = torch.cat([best_word + shift, own_map], dim=1).amax(1, keepdim=True)
    parts = [classes[:, :index], best, classes[:, index + 1 :]]
    return prediction._replace(probabilities=torch.cat(parts, dim=1))
