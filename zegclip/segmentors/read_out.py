"""From a head's maps at pixels to the probabilities of a vocabulary's classes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from zegclip.heads import HeadOutput, Prediction, ZeroShotHead
from zegclip.vocabulary import Background, Vocabulary, background_id, name_key

RAISED = "raised"  # the extra map of an exported head, which calibrates itself: see raised_by()


class ReadOut:
    """What is asked of a head, and what its answer says of the classes.

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
            place = {name_key(word): index for index, word in enumerate(self.queries.classes)}
            self._words = [[place[name_key(word)] for word in words] for words in vocabulary.words]
        self._own = len(self.queries.classes)
        if background is not None and (words := background.words_beside(vocabulary)):
            self.queries = self.queries.with_words(words)
        self._background = background
        self._classes = vocabulary.classes

    def __call__(self, output: HeadOutput) -> Prediction:
        """Of maps ``(B, K, H, W)`` at pixels; a function of each pixel."""
        asked, maps = self._head.predict(output)
        extra_maps = dict(maps)
        raised: Tensor | float = extra_maps.pop(RAISED, 0.0)
        probabilities = asked[:, : self._own]
        if self._words is not None:  # a class has the probability of its best word
            best = [probabilities[:, words].amax(dim=1) for words in self._words]
            probabilities = torch.stack(best, dim=1)
        prediction = Prediction(probabilities, extra_maps)
        if self._seen is not None:
            prediction = self._head.calibrate(prediction, self._seen)
        if self._background is not None:
            if self._seen is not None:
                raised = raised_by(probabilities, prediction.probabilities)
            others = asked[:, self._own :]
            prediction = with_background(
                prediction, others, raised, self._background, self._classes
            )
        return prediction


def raised_by(plain: Tensor, calibrated: Tensor) -> Tensor:
    """How much the calibration raised the best class of each pixel.

    Args:
        plain: probabilities ``(B, C, H, W)``.
        calibrated: the same.

    Returns:
        ``(B, 1, H, W)``; where it is added to a background's probability, the background wins over
        the calibrated classes just where it wins over the plain ones.
    """
    return calibrated.amax(dim=1, keepdim=True) - plain.amax(dim=1, keepdim=True)


def with_background(
    prediction: Prediction,
    others: Tensor,
    raised: Tensor | float,
    background: Background,
    names: Sequence[str],
) -> Prediction:
    """Background is as probable as its best word, and no less than its threshold.

    Args:
        prediction: of the classes.
        others: probabilities of the background's words, ``(B, W, H, W)``.
        raised: from :func:`raised_by`, if the prediction is calibrated.
        background: whose threshold counts.
        names: of the classes. One called ``background`` is it; else it gets a map of its own, the
            last.
    """
    classes = prediction.probabilities
    own = background_id(names)
    place = len(names) if own is None else own
    # Without a threshold nothing is below it. (Not infinite: maps are interpolated.)
    least = -1.0 if background.threshold is None else background.threshold
    floor = torch.full_like(classes[:, :1], least)
    plain = torch.cat([floor, others], dim=1).amax(1, keepdim=True) + raised
    best = torch.cat([plain, classes[:, place : place + 1]], dim=1).amax(1, keepdim=True)
    parts = [classes[:, :place], best, classes[:, place + 1 :]]
    return prediction._replace(probabilities=torch.cat(parts, dim=1))
