"""Photographs and words in, segmentations out: the Python interface of all methods."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any, TypeAlias, Union

import numpy as np
import torch
from mmengine.config import Config

from zegclip.datasets.images import ImageLike, read_image
from zegclip.engine.load_model import (
    MINI_CHECKPOINT,
    checkpoint_meta,
    choose_device,
    choose_files,
    load_model,
)
from zegclip.errors import InputError
from zegclip.heads import upsample
from zegclip.visualization import attention_of_windows
from zegclip.vocabulary import (
    IGNORE_INDEX,
    Background,
    Vocabulary,
    background_id,
    check_known,
)

from . import pretrained
from .preprocessing import Preprocessor, image_steps
from .result import SegmentationResult
from .words import Text, make_vocabulary

Words: TypeAlias = Text | Vocabulary | None
Seen: TypeAlias = str | Iterable[str] | None
Nothing: TypeAlias = bool | float | str | Sequence[str] | Background | None
Asked: TypeAlias = Union[ImageLike, "EncodedImage"]


@dataclass(frozen=True, repr=False)
class EncodedImage:
    """An image that went through the image encoder, to be asked for any words.

    Attributes:
        image: ``(H, W, 3)`` uint8, RGB, upright.
        inputs: as the model saw it, ``(1, 3, h, w)``.
        windows: patch and CLS embeddings of its windows, in groups with their boxes.
        encoded_by: the inferencer that can be asked.
    """

    image: np.ndarray
    inputs: torch.Tensor
    windows: list[Any]
    encoded_by: ZeroShotInferencer

    @property
    def input_size(self) -> tuple[int, int]:
        """(h, w) in which the model saw it."""
        return self.inputs.shape[-2], self.inputs.shape[-1]


class ZeroShotInferencer:
    """A model that segments photographs into whatever words are given.

    May be used from several threads: one is served at a time.

    Args:
        config: path of a config, as the tools take it; see
            :func:`~zegclip.engine.load_model.choose_files` for what is left out.
        checkpoint: path of the checkpoint. Without both: CLIP without training, with OpenAI's
            ViT-B/16, which is downloaded once. (``"data/mini/mini_model.pth"`` is the mini model,
            which is in the repository and knows drawings of VOC's 20 classes, not photographs.)
        device: ``"cuda"``, ``"cpu"``, ...; default: CUDA where there is one.

    Attributes:
        model: the segmentor.
        config: path of the config.
        checkpoint: path of the checkpoint, ``None`` without training.
        background: what is none of a person's own words, by default.
        refine: whether masks are refined by default, as the config's ``test_cfg`` says.

    Raises:
        InputError: a file is missing, or they do not fit together.

    Example:
        >>> segment = ZeroShotInferencer()
        >>> result = segment("photo.jpg", ["cat", "a red bus"])
        >>> result.areas()
        >>> encoded = segment.encode("photo.jpg")
        >>> segment(encoded, ["dog"])  # does not run the image encoder again
    """

    def __init__(
        self,
        config: str | Path | Config | None = None,
        checkpoint: str | Path | None = None,
        device: str | torch.device | None = None,
    ) -> None:
        cfg, file = choose_files(config, checkpoint)
        try:
            model = load_model(cfg, file, choose_device(device))
        except InputError as error:
            if config is not None or checkpoint is not None:
                raise
            raise InputError(
                f"{error}\nThe mini model needs no download, but knows drawings alone: --mini, "
                f"checkpoint={MINI_CHECKPOINT!r} in Python"
            ) from error
        self.config, self.checkpoint, self._cfg = str(cfg.filename), file, cfg
        self.model: Any = model
        self.refine: bool = model.test_cfg["refine"] is not None
        self.background: Background | None = model.decode_head.background
        self._text_encoder: Any = model.text_encoder
        self._preprocess = Preprocessor(
            image_steps(cfg),
            model.data_preprocessor,
            model.test_cfg,
            model.image_encoder.patch_size,
        )
        meta = model.dataset_meta
        self._own_vocabulary = Vocabulary.from_metainfo(meta) if meta else None
        self._trained_for = self._own_vocabulary
        self._lock = threading.RLock()

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path,
        revision: str | None = None,
        device: str | torch.device | None = None,
    ) -> ZeroShotInferencer:
        """A model that :meth:`save_pretrained` or :meth:`push_to_hub` wrote; nothing of it is run.

        Args:
            name: a folder, or ``"user/name"`` on the Hugging Face Hub.
            revision: a branch, tag or commit there; a commit is the same for ever.
            device: as of the class.

        Raises:
            InputError: it cannot be fetched, is none of ours, or does not fit CLIP's weights.
        """
        folder = pretrained.fetch(str(name), revision)
        cfg, weights = pretrained.read(folder)
        try:
            return cls(cfg, weights, device)
        except InputError:
            raise
        except Exception as error:  # what a config of anybody's makes of a model
            raise InputError(f"{cfg.filename} makes no model here: {error!r}") from error

    def save_pretrained(
        self, folder: str | Path, report: str | Path | None = None, licence: str = "unknown"
    ) -> None:
        """Write ``model.safetensors``, ``config.json`` and a model card, for others.

        CLIP's own weights are not in it.

        Args:
            folder: is made.
            report: ``report.json`` of a test of this model: goes along, and its scores, protocol
                and command into the card.
            licence: of what is learned, as the Hub spells it (``"apache-2.0"``).

        Raises:
            InputError: the config holds what cannot be data, or the report is of another model.
        """
        self._write(Path(folder), Path(folder).resolve().name, report, licence)

    def push_to_hub(
        self,
        name: str,
        report: str | Path | None = None,
        licence: str = "unknown",
        private: bool | None = None,
        revision: str | None = None,
    ) -> str:
        """Put what :meth:`save_pretrained` writes on the Hugging Face Hub, as whom it knows you.

        Args:
            name: ``"user/name"``; made where it is not there yet.
            report: as there.
            licence: as there.
            private: whether a new one is only yours.
            revision: the branch; default: the main one.

        Returns:
            The commit's address.

        Raises:
            InputError: as there; or the Hub refuses it.
        """
        with tempfile.TemporaryDirectory() as folder:
            self._write(Path(folder), name, report, licence)
            return pretrained.push(Path(folder), name, private, revision)

    def _write(self, folder: Path, name: str, report: str | Path | None, licence: str) -> None:
        meta = checkpoint_meta(self.checkpoint) if report and self.checkpoint else {}
        pretrained.write(folder, self._cfg, self.model, name, report, licence, meta)

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names that the model was trained for, ``()`` if it has none."""
        return self._own_vocabulary.classes if self._own_vocabulary else ()

    def __call__(
        self,
        image: Asked,
        text: Words = None,
        seen: Seen = None,
        background: Nothing = True,
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
                for all else (``"sky, wall"``), or a :class:`~zegclip.vocabulary.Background` of
                both. ``True``: the method's own (:attr:`background`) where words of one's own are
                given, nothing where the model's classes are. ``False``: every pixel is one of the
                words, as by default of more than 255. If ``"background"`` is one of the words, that
                class takes the place of 255.
            refine: ``"pamr"`` brings masks to the image's edges, see
                :class:`~zegclip.segmentors.refinement.PixelAdaptiveRefinement`; ``False``: nothing
                does. Default: what the config's ``test_cfg`` says.

        Raises:
            InputError: the image or the words cannot be used.
        """
        vocabulary = self.vocabulary(text, seen)
        nothing = self._make_background(background, vocabulary)
        if refine not in (None, False, "pamr"):
            raise InputError(f"refine={refine!r} is neither 'pamr' nor False")
        encoded = self.encode(image)
        size = encoded.image.shape[:2]
        with self._lock, torch.no_grad():
            self.model.set_vocabulary(vocabulary)
            (prediction,) = self.model.decode_windows(
                encoded.windows,
                encoded.input_size,
                background=nothing,
                images=encoded.inputs if (self.refine if refine is None else refine) else None,
            )
            labels, maps = prediction.labels({"ori_shape": size})
            labels[labels == len(vocabulary.classes)] = IGNORE_INDEX
        return SegmentationResult(
            encoded.image,
            labels.cpu().numpy(),
            prediction,
            vocabulary.classes,
            {name: each.squeeze(0).cpu().numpy() for name, each in maps.items()},
            vocabulary.palette or (),
            vocabulary.unseen,
            nothing is not None and background_id(vocabulary.classes) is None,
        )

    def encode(self, image: Asked) -> EncodedImage:
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

    def vocabulary(self, text: Words = None, seen: Seen = None) -> Vocabulary:
        """Check words once, to ask with them often.

        Args:
            text: as :meth:`__call__` takes it.
            seen: as there.

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

    def attention(self, image: Asked, text: Words, name: str) -> np.ndarray:
        """What a class attends to in the last layer; the head's ``attention_meaning`` says it.

        Args:
            image: as :meth:`__call__` takes it.
            text: as there; all classes that are asked for.
            name: one of them.

        Returns:
            ``(H, W)`` float32, 0..1; of windows that overlap, the mean.
        """
        encoded, vocabulary = self.encode(image), self.vocabulary(text)
        check_known([name], vocabulary.classes, "name")
        label = vocabulary.classes.index(name)
        with self._lock, torch.no_grad():
            self.model.set_vocabulary(vocabulary)
            own = slice(label, label + 1)
            maps = attention_of_windows(self.model, encoded.windows, encoded.input_size, own)
            attention = upsample(maps[None], encoded.image.shape[:2])
        return attention[0, 0].cpu().numpy()

    def _make_background(self, asked: Nothing, vocabulary: Vocabulary) -> Background | None:
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
        if isinstance(asked, (float, Real)):  # (numpy's float32 is the latter)
            asked = Background(threshold=float(asked))
        if not isinstance(asked, Background):
            asked = Background(words=make_vocabulary(asked).classes)
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
