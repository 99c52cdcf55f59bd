"""Photographs and words in, segmentations out: what all inferencers have in common."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias, Union

import numpy as np
import torch

from zegclip.datasets.images import ImageLike, read_image
from zegclip.errors import InputError
from zegclip.vocabulary import IGNORE_INDEX, Background, Vocabulary, background_id

from .preprocessing import Preprocessor
from .result import SegmentationResult
from .words import Text, make_background, make_vocabulary

ClassNames: TypeAlias = Text | Vocabulary | None
SeenNames: TypeAlias = str | Iterable[str] | None
BackgroundInput: TypeAlias = bool | float | str | Sequence[str] | Background | None
ImageInput: TypeAlias = Union[ImageLike, "EncodedImage"]


@dataclass(frozen=True, repr=False)
class EncodedImage:
    """An encoded image. It can be segmented into any class names without encoding it again.

    Attributes:
        image: the image's pixels, ``(H, W, 3)`` uint8, RGB, upright.
        inputs: the model's input that was made of them, ``(1, 3, h, w)``.
        windows: patch and CLS embeddings of the input's windows, in groups with their boxes.
        encoded_by: the inferencer that encoded the image; no other can segment it.
    """

    image: np.ndarray
    inputs: torch.Tensor
    windows: list[Any]
    encoded_by: Inferencer

    @property
    def input_size(self) -> tuple[int, int]:
        """Size of the model's input, (h, w)."""
        return self.inputs.shape[-2], self.inputs.shape[-1]


class Inferencer:
    """A model that segments photographs into whatever words are given.

    May be used from several threads: one is served at a time. Its subclasses load it.

    Args:
        model: encodes windows and asks in them for a vocabulary, as
            :class:`~zegclip.segmentors.ZeroShotSegmentor` does.
        preprocess: makes the model's input of an image.
        text_encoder: whose context every word must fit into; ``None``: there is none.
        background: the default rule for pixels of no class, where the caller names the classes.
        refine: whether masks are refined by default.
        trained_for: the classes, split and setting of the training, if known.
        own: the classes that are segmented where the caller names none; default:
            ``trained_for``.
    """

    def __init__(
        self,
        model: Any,
        preprocess: Preprocessor,
        text_encoder: Any,
        background: Background | None,
        refine: bool,
        trained_for: Vocabulary | None,
        own: Vocabulary | None = None,
    ) -> None:
        self.model = model
        self.background = background
        self.refine = refine
        self._preprocess = preprocess
        self._text_encoder = text_encoder
        self._trained_for = trained_for
        self._own_vocabulary = own or trained_for
        self._lock = threading.RLock()

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names that are used where none are given, ``()`` if there are none.

        They are the training's; of an exported model with ``words.npz`` those of that file.
        """
        return self._own_vocabulary.classes if self._own_vocabulary else ()

    def __call__(
        self,
        image: ImageInput,
        text: ClassNames = None,
        seen: SeenNames = None,
        background: BackgroundInput = True,
        refine: str | bool | None = None,
    ) -> SegmentationResult:
        """Segment an image of any size.

        Args:
            image: a path, a PIL image, an ``(H, W, 3)`` uint8 RGB array or an encoded image.
            text: the words: a list, ``"cat, dog"``, a dict from names to synonyms, or what
                :meth:`vocabulary` returned. ``None``: the classes, split and setting that the
                checkpoint was trained with.
            seen: those of the words that training has seen; the result is then calibrated as in
                the inductive setting. Default: nothing is called seen or unseen.
            background: what is none of the words: a probability that the best word must have, words
                for all else (``"sky, wall"``), both (``"0.4, sky"``), or a
                :class:`~zegclip.vocabulary.Background`. ``True``: the method's own
                (:attr:`background`) where words of one's own are given, nothing where the model's
                classes are. ``False``: every pixel is one of the
                words, as by default of more than 255. If ``"background"`` is one of the words, that
                class takes the place of 255.
            refine: ``"pamr"`` brings masks to the image's edges, see
                :class:`~zegclip.segmentors.refinement.PixelAdaptiveRefinement`; ``False``: nothing
                does. Default: what the config's ``test_cfg`` says.

        Raises:
            InputError: the image or the words cannot be used.
        """
        vocabulary = self.vocabulary(text, seen)
        background = self._make_background(background, vocabulary)
        if refine not in (None, False, "pamr"):
            raise InputError(f"refine={refine!r} is neither 'pamr' nor False")
        encoded = self.encode(image)
        size = encoded.image.shape[:2]
        with self._lock, torch.no_grad():
            self.model.set_vocabulary(vocabulary)
            (prediction,) = self.model.decode_windows(
                encoded.windows,
                encoded.input_size,
                background=background,
                images=encoded.inputs if (self.refine if refine is None else refine) else None,
            )
            labels, maps = prediction.labels({"ori_shape": size})
            labels[labels == len(vocabulary.classes)] = IGNORE_INDEX
        return SegmentationResult(
            image=encoded.image,
            labels=labels.cpu().numpy(),
            prediction=prediction,
            classes=vocabulary.classes,
            extra_maps={name: each.squeeze(0).cpu().numpy() for name, each in maps.items()},
            palette=vocabulary.palette or (),
            unseen=vocabulary.unseen,
            background=background is not None and background_id(vocabulary.classes) is None,
        )

    def encode(self, image: ImageInput) -> EncodedImage:
        """Run the image encoder, which takes most of the time, once for any number of questions.

        Args:
            image: as :meth:`__call__` takes it.

        Raises:
            InputError: the image cannot be used, or was encoded by another inferencer.
        """
        if isinstance(image, EncodedImage):
            if image.encoded_by is not self:
                raise InputError("an image can be asked only by the inferencer that encoded it")
            return image
        pixels = read_image(image)
        with self._lock, torch.no_grad():
            inputs = self._preprocess(pixels)
            windows = list(self.model.encode_windows(inputs))
        return EncodedImage(pixels, inputs, windows, self)

    def vocabulary(self, text: ClassNames = None, seen: SeenNames = None) -> Vocabulary:
        """Check words once, to ask with them often.

        Args:
            text: as :meth:`__call__` takes it.
            seen: as :meth:`__call__` takes it.

        Returns:
            What every ``text`` argument takes as well.

        Raises:
            InputError: see :func:`~zegclip.apis.make_vocabulary`; or a word is longer than the
                text encoder's context.
        """
        if text is None:
            if self._own_vocabulary is None:
                raise InputError("this model does not say its classes: give text=[...]")
            text = self._own_vocabulary
        if isinstance(text, Vocabulary):
            if seen is None:
                return text
            text = dict(zip(text.classes, text.words))
        vocabulary = make_vocabulary(text, seen)
        self._check_words(vocabulary)
        return vocabulary

    def _make_background(self, asked: BackgroundInput, vocabulary: Vocabulary) -> Background | None:
        if asked is None or asked is False:
            return None
        too_many = len(vocabulary.classes) > IGNORE_INDEX  # the last would have its label
        if asked is True:
            return None if too_many or vocabulary == self._trained_for else self.background
        if too_many:
            raise InputError(
                f"background={asked!r} takes at most {IGNORE_INDEX} words, because label "
                f"{IGNORE_INDEX} is none of them; these are {len(vocabulary.classes)}"
            )
        if not isinstance(asked, Background):
            asked = make_background(asked)
            # A number alone is another threshold for the model's own words.
            if not asked.words and self.background is not None:
                asked = replace(asked, words=self.background.words)
        if words := asked.words_beside(vocabulary):
            self._check_words(Vocabulary(words, setting="cross_dataset"))
        return asked

    def _check_words(self, vocabulary: Vocabulary) -> None:
        words = [word for synonyms in vocabulary.words for word in synonyms]
        if cut := self._text_encoder.too_long(words):
            raise InputError(
                f"{cut[0]!r:.60} is too long for the text encoder, which would see only its "
                "start: use fewer words"
            )
