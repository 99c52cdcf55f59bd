"""An exported model with the interface of the one in torch."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from mmseg.registry import MODELS
from torch import Tensor

from zegclip.engine.load_model import choose_files, load_model
from zegclip.errors import InputError
from zegclip.export import (
    ClassWords,
    open_session,
    read_class_words,
    read_description,
    text_fingerprint,
    words_of,
)
from zegclip.export.class_words import WORDS
from zegclip.export.session import run_session
from zegclip.heads import HeadPrediction, calibrate
from zegclip.segmentors import ZeroShotSegmentor
from zegclip.segmentors.sliding_window import (
    Box,
    average_windows,
    padded_windows,
    without_window_padding,
)
from zegclip.vocabulary import Vocabulary

from .preprocessing import Preprocessor
from .words import Text
from .zero_shot_segmenter import EncodedImage, ZeroShotSegmenter

_VOCABULARIES_KEPT = 8


class _Windows(NamedTuple):
    """Windows of a prepared image: their boxes and pixels ``(N, 3, h, w)``, whole patches."""

    boxes: list[Box]
    pixels: Tensor


class OnnxSegmenter(ZeroShotSegmenter):
    """A model that ``tools/export_onnx.py`` wrote; called as :class:`ZeroShotSegmenter` is.

    Words become class embeddings in one of two ways. With ``words=`` they are looked up in a file
    that the tool wrote, and neither CLIP nor the checkpoint is needed. With ``config=`` and
    ``checkpoint=`` the text encoder in torch embeds any word.

    One graph holds image encoder and head, so an image that was encoded is only prepared: asking
    it again costs as much as the first time.

    Args:
        path: the ``.onnx`` file.
        words: the ``.npz`` file of class embeddings; default: ``words.npz`` beside the model, where
            neither config nor checkpoint is given.
        config: of the checkpoint that the file was exported from; see :class:`ZeroShotSegmenter`
            for what is left out.
        checkpoint: that checkpoint.
        device: ``"cpu"`` (default), or ``"cuda"`` where ONNX Runtime has it.
        threads: of ONNX Runtime; default: as many as torch computes with.

    Attributes:
        description: what the file says of itself.

    Raises:
        InputError: a file is missing or broken, or they do not fit together.

    Example:
        >>> segmenter = OnnxSegmenter("model.onnx", words="words.npz")
        >>> segmenter("photo.jpg", ["cat", "dog"]).draw().save("photo_classes.png")
    """

    def __init__(
        self,
        path: str | Path,
        words: str | Path | None = None,
        config: str | Path | None = None,
        checkpoint: str | Path | None = None,
        device: str | torch.device | None = None,
        threads: int | None = None,
    ) -> None:
        if words is not None and (config is not None or checkpoint is not None):
            raise InputError(
                f"words={str(words)!r} and a config or checkpoint: give the saved class embeddings "
                "or the text encoder, not both"
            )
        beside = Path(path).parent / WORDS
        if words is None and config is None and checkpoint is None:
            if Path(path).is_file() and not beside.is_file():
                raise InputError(
                    f"{path} holds no text encoder, and there is no {WORDS} beside it: give the "
                    "saved class embeddings (tools/export_onnx.py --words writes them), or the "
                    "config and the checkpoint that it was exported from"
                )
            words = beside
        self.device = torch.device("cpu")  # of what is outside the graph
        self.checkpoint = str(path)
        self._saved: ClassWords | None = None
        self._text: ZeroShotSegmentor | None = None
        self._embeddings: dict[tuple[tuple[str, ...], ...], np.ndarray] = {}
        self._lock = threading.RLock()
        try:
            self._session = open_session(path, str(device or "cpu"), threads)
            metadata = self._session.get_modelmeta().custom_metadata_map
            self.description = read_description(metadata, str(path))
            self._outputs = [output.name for output in self._session.get_outputs()]
            if words is not None:
                self._saved = read_class_words(words)
        except InputError as error:
            raise InputError(str(error)) from error
        found = self.description
        self.config = found.config
        cfg = found.to_config()
        self._preprocess = Preprocessor(
            cfg,
            MODELS.build(found.data_preprocessor()),
            found.test_cfg,
            found.patch_size,
        )
        self._own_vocabulary = found.own_vocabulary()
        if self._saved is not None:
            self._check_text(self._saved.text_fingerprint, str(words))
            self._own_vocabulary = self._saved_vocabulary(self._saved)
        else:
            chosen, file = choose_files(config, checkpoint)
            self._text = load_model(chosen, file, self.device)
            self._check_text(text_fingerprint(self._text), file)
        self.classes = self._own_vocabulary.classes if self._own_vocabulary else ()

    def _check_text(self, theirs: str, name: str) -> None:
        if theirs != self.description.text_fingerprint:
            raise InputError(
                f"{name} embeds words otherwise than {self.checkpoint} was trained with (other "
                f"CLIP weights than {self.description.clip.get('model_name')}, "
                f"{self.description.clip.get('weights')}; other templates; or another learned text "
                "encoder): take what it was exported with, or export again"
            )

    def _saved_vocabulary(self, saved: ClassWords) -> Vocabulary:
        """The saved classes; as in the training where they are those of the training."""
        own = self._own_vocabulary
        if own is not None and dict(zip(own.classes, own.words)) == dict(saved.words):
            return own
        return Vocabulary(saved.names, synonyms=saved.words, setting="cross_dataset")

    def vocabulary(
        self, text: Text | Vocabulary | None = None, seen: str | Iterable[str] | None = None
    ) -> Vocabulary:
        """As :meth:`ZeroShotSegmenter.vocabulary`; without words: the saved classes, if there is a
        file of them."""
        vocabulary = super().vocabulary(text, seen)
        if self._saved is not None:
            self._saved.rows(vocabulary)
        return vocabulary

    def _too_long(self, words: list[str]) -> list[str]:
        return [] if self._text is None else self._text.text_encoder.too_long(words)

    def _class_embeddings(self, vocabulary: Vocabulary) -> np.ndarray:
        """T, ``(C, D)`` float32."""
        if self._saved is not None:
            return self._saved.rows(vocabulary)
        assert self._text is not None
        embeddings = self._embeddings.get(vocabulary.words)
        if embeddings is None:
            embeddings = words_of(self._text, vocabulary).embeddings
            if len(self._embeddings) >= _VOCABULARIES_KEPT:
                self._embeddings.pop(next(iter(self._embeddings)))
            self._embeddings[vocabulary.words] = embeddings
        return embeddings

    def _windows(self, inputs: Tensor) -> list[_Windows]:
        groups = padded_windows(inputs, self.description.test_cfg, self.description.patch_size)
        return [_Windows(boxes, pixels) for boxes, pixels in groups]

    def _predict(self, encoded: EncodedImage, vocabulary: Vocabulary) -> HeadPrediction:
        embeddings = self._class_embeddings(vocabulary)
        seen = torch.zeros(len(vocabulary.classes), dtype=torch.bool)
        seen[list(vocabulary.seen_ids)] = True
        inductive = vocabulary.setting == "inductive"

        def predict(windows: _Windows) -> HeadPrediction:
            feed = {"image": windows.pixels.numpy(), "class_embeddings": embeddings}
            try:
                maps = run_session(self._session, feed)
            except InputError as error:
                raise InputError(f"{self.checkpoint}: {error}") from error
            found = dict(zip(self._outputs, map(torch.from_numpy, maps)))
            prediction = HeadPrediction(found["probabilities"], found.get("trusty_map"))
            if inductive:
                prediction = self._calibrated(prediction, seen)
            return without_window_padding(prediction, windows.boxes)

        groups = ((group.boxes, predict(group)) for group in encoded.windows)
        return average_windows(groups, encoded.input_size)

    def _calibrated(self, prediction: HeadPrediction, seen: Tensor) -> HeadPrediction:
        """As the heads do it in the inductive setting, window by window."""
        probabilities = calibrate(prediction.probabilities, seen, self.description.gamma)
        if prediction.trusty_map is not None:
            from tagclip import weight_by_trust  # (that package builds upon this one)

            probabilities = weight_by_trust(
                probabilities, prediction.trusty_map, seen, self.description.trusty_weighting
            )
        return HeadPrediction(probabilities, prediction.trusty_map)

    def __repr__(self) -> str:
        return f"OnnxSegmenter({self.checkpoint}, exported from {self.config})"
