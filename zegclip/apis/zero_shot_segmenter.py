"""Photographs and words in, segmentations out: the Python interface of all methods."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.config import Config
from torch import Tensor

from zegclip.engine.load_model import choose_device, choose_files, load_model
from zegclip.errors import InputError
from zegclip.heads import HeadPrediction
from zegclip.vocabulary import Vocabulary

from .images import ImageLike, is_image, name_of, read_image
from .preprocessing import Preprocessor
from .result import SegmentationResult
from .words import Text, make_vocabulary


@dataclass(frozen=True)
class EncodedImage:
    """An image that went through the image encoder, to be asked for any words.

    Attributes:
        image: ``(H, W, 3)`` uint8, RGB, upright.
        input_size: (h, w) in which the model saw it.
        windows: patch and CLS embeddings of its windows, in groups with their boxes.
        encoded_by: the segmenter that can be asked.
    """

    image: np.ndarray
    input_size: tuple[int, int]
    windows: list[Any]
    encoded_by: ZeroShotSegmenter

    def __repr__(self) -> str:
        height, width = self.image.shape[:2]
        windows = sum(len(group.boxes) for group in self.windows)
        return f"EncodedImage({width}x{height}, {windows} window(s))"


class ZeroShotSegmenter:
    """A trained model that segments photographs into whatever words are given.

    Args:
        config: path of a config, as the tools take it; see
            :func:`~zegclip.engine.load_model.choose_files` for what is left out.
        checkpoint: path of the checkpoint. Without both: TagCLIP of the mini benchmark, which is
            in the repository and knows drawings of VOC's 20 classes, not photographs.
        device: ``"cuda"``, ``"cpu"``, ...; default: CUDA where there is one.

    May be used from several threads: one is served at a time.

    Attributes:
        model: the segmentor.
        device: where it is.
        classes: the class names that the checkpoint was trained for, ``()`` if it has none.

    Raises:
        InputError: a file is missing, or they do not fit together.

    Example:
        >>> segmenter = ZeroShotSegmenter()
        >>> result = segmenter("photo.jpg", ["cat", "a red bus"])
        >>> result.areas()
        >>> result.draw().save("photo_classes.png")
    """

    def __init__(
        self,
        config: str | Path | Config | None = None,
        checkpoint: str | Path | None = None,
        device: str | torch.device | None = None,
    ) -> None:
        self.device = choose_device(device)
        cfg, file = choose_files(config, checkpoint)
        self.config, self.checkpoint = cfg.filename, file
        self.model = load_model(cfg, file, self.device)
        if getattr(self.model.data_preprocessor, "test_cfg", None):
            raise InputError(
                f"{self.config}: model.data_preprocessor.test_cfg pads images at test time, which "
                "is not undone here: leave it out (sliding windows need no padding)"
            )
        self._preprocess = Preprocessor(
            cfg,
            self.model.data_preprocessor,
            self.model.test_cfg,
            self.model.image_encoder.patch_size,
        )
        meta = self.model.dataset_meta
        self._own_vocabulary = Vocabulary.from_metainfo(meta) if meta else None
        self.classes = self._own_vocabulary.classes if self._own_vocabulary else ()
        self._lock = threading.RLock()

    # --- asking -----------------------------------------------------------------------------

    @overload
    def __call__(  # type: ignore[overload-overlap]  # (a str is an Iterable: the first one wins)
        self,
        image: ImageLike | EncodedImage,
        text: Text | Vocabulary | None = None,
        seen: str | Iterable[str] | None = None,
    ) -> SegmentationResult: ...

    @overload
    def __call__(
        self,
        image: Iterable[ImageLike | EncodedImage],
        text: Text | Vocabulary | None = None,
        seen: str | Iterable[str] | None = None,
    ) -> list[SegmentationResult]: ...

    def __call__(
        self,
        image: Any,
        text: Text | Vocabulary | None = None,
        seen: str | Iterable[str] | None = None,
    ) -> SegmentationResult | list[SegmentationResult]:
        """Segment one image, or several of any sizes.

        Args:
            image: a path, a PIL image, an ``(H, W, 3)`` uint8 RGB array or an encoded image; or
                several of them.
            text: the words: a list, ``"cat, dog"``, a dict from names to synonyms, or what
                :meth:`vocabulary` returned. ``None``: the classes, split and setting that the
                checkpoint was trained with.
            seen: those of the words that training has seen; the result is then calibrated as in
                the inductive setting. Default: nothing is called seen or unseen.

        Returns:
            One result, or a list where several images are given.

        Raises:
            InputError: an image cannot be used; names it.
            InputError: the words cannot.
        """
        if is_image(image) or isinstance(image, EncodedImage):
            vocabulary = self.vocabulary(text, seen)
            return self._ask(self._encoded(image, name_of(image)), vocabulary)
        return list(self.stream(image, text, seen))

    def stream(
        self,
        images: Iterable[ImageLike | EncodedImage],
        text: Text | Vocabulary | None = None,
        seen: str | Iterable[str] | None = None,
    ) -> Iterator[SegmentationResult]:
        """Segment images one after the other, for any number of them.

        The words are checked at once and embedded once; images are read as results are taken.

        Args:
            images: as :meth:`__call__` takes them.
            text: as there.
            seen: as there.

        Returns:
            An iterator over the results.
        """
        vocabulary = self.vocabulary(text, seen)
        if not isinstance(images, Iterable):
            raise InputError(
                f"images is a {type(images).__name__}: give a path, a PIL image or an (H, W, 3) "
                "uint8 array, or a list of them"
            )
        if is_image(images) or isinstance(images, EncodedImage):
            images = [images]  # type: ignore[list-item]
        return (
            self._ask(self._encoded(image, name_of(image, index)), vocabulary)
            for index, image in enumerate(images)
        )

    def encode(self, image: ImageLike) -> EncodedImage:
        """Run the image encoder, which takes most of the time, once for any number of questions.

        Args:
            image: as :meth:`__call__` takes it.

        Raises:
            InputError: the image cannot be used.
        """
        return self._encoded(image, name_of(image))

    def vocabulary(
        self, text: Text | Vocabulary | None = None, seen: str | Iterable[str] | None = None
    ) -> Vocabulary:
        """Check words once, to ask with them often.

        Args:
            text: as :meth:`__call__` takes it.
            seen: as there.

        Returns:
            What every ``text`` argument takes as well.

        Raises:
            InputError: see :func:`~zegclip.apis.words.make_vocabulary`; or a word is longer
                than the text encoder's context.
        """
        if isinstance(text, Vocabulary) and seen is None:
            return text
        if isinstance(text, Vocabulary):
            text = dict(zip(text.classes, text.words))
        if text is None:
            if self._own_vocabulary is None:
                raise InputError(
                    "no words: this checkpoint does not say its classes, so give text=[...]"
                )
            if seen is None:
                return self._own_vocabulary
            text = dict(zip(self._own_vocabulary.classes, self._own_vocabulary.words))
        vocabulary = make_vocabulary(text, seen)
        words = [word for synonyms in vocabulary.words for word in synonyms]
        with self._lock:
            if cut := self._too_long(words):
                shown = cut[0] if len(cut[0]) <= 60 else cut[0][:60] + "…"
                raise InputError(
                    f"{shown!r} is too long for the text encoder, which would see only its start: "
                    "use fewer words"
                )
        return vocabulary

    # --- parts ------------------------------------------------------------------------------

    def _encoded(self, image: ImageLike | EncodedImage, name: str) -> EncodedImage:
        if isinstance(image, EncodedImage):
            if image.encoded_by is not self:
                raise InputError(
                    f"{name} was encoded by another segmenter: only that one can be asked"
                )
            return image
        pixels = read_image(image, name)
        with self._lock, torch.no_grad():
            inputs = self._preprocess(pixels)
            windows = self._windows(inputs)
        return EncodedImage(pixels, tuple(inputs.shape[-2:]), windows, self)

    def _ask(self, encoded: EncodedImage, vocabulary: Vocabulary) -> SegmentationResult:
        with self._lock, torch.no_grad():
            prediction = self._predict(encoded, vocabulary)
            labels = _labels(prediction, encoded.image.shape[:2])
            trusty = prediction.trusty_map
            if trusty is not None:
                trusty = _resized(trusty, encoded.image.shape[:2])[0, 0].cpu()
            small = prediction.probabilities.cpu()
        return SegmentationResult(
            labels=labels.cpu().numpy(),
            scores=lambda: _resized(small, encoded.image.shape[:2])[0].float().numpy(),
            classes=vocabulary.classes,
            image=encoded.image,
            trusty_map=None if trusty is None else trusty.float().numpy(),
            palette=vocabulary.palette,
            unseen=vocabulary.unseen,
        )

    # What runs the model: the only parts that differ where it is another kind of file.

    def _windows(self, inputs: Tensor) -> list[Any]:
        """Groups of windows of a prepared image, encoded as far as can be without the words."""
        return list(self.model.encode_windows(inputs))

    def _predict(self, encoded: EncodedImage, vocabulary: Vocabulary) -> HeadPrediction:
        """Maps at the size of the prepared image."""
        self.model.set_vocabulary(vocabulary)
        return self.model.decode_windows(encoded.windows, encoded.input_size)

    def _too_long(self, words: list[str]) -> list[str]:
        """Those of the words that the text encoder would cut."""
        return self.model.text_encoder.too_long(words)

    def __repr__(self) -> str:
        return f"ZeroShotSegmenter({self.config}, {self.checkpoint}, device={self.device})"


def _resized(maps: Tensor, size: tuple[int, ...]) -> Tensor:
    """Bilinear, as :meth:`ZeroShotSegmentor.predict`: ``(1, C, h, w)`` -> ``(1, C, H, W)``."""
    if tuple(maps.shape[-2:]) == tuple(size[:2]):
        return maps
    return F.interpolate(maps, size=tuple(size[:2]), mode="bilinear", align_corners=False)


def _labels(prediction: HeadPrediction, size: tuple[int, ...]) -> Tensor:
    """Arg-max at the image's size, ``(H, W)`` int64, without all classes' maps of that size."""
    best: Tensor | None = None
    labels: Tensor | None = None
    for first, part in enumerate(prediction.probabilities.split(1, dim=1)):
        scores = _resized(part, size)[0, 0]
        if best is None or labels is None:
            best, labels = scores.clone(), torch.zeros_like(scores, dtype=torch.int64)
            continue
        better = scores > best  # equal ones stay the first, as with arg-max
        labels[better] = first
        best = torch.maximum(best, scores)
    assert labels is not None
    return labels
