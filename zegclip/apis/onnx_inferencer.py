"""An exported model with the interface of the one in torch."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from mmseg.models import SegDataPreProcessor
from torch import Tensor

from zegclip.engine.load_model import choose_files, load_model
from zegclip.errors import InputError
from zegclip.heads import HeadOutput, Prediction
from zegclip.segmentors import (
    ImagePrediction,
    ReadOut,
    as_prediction,
    checked_test_cfg,
    cut_windows,
    predictions_of_images,
)
from zegclip.segmentors.sliding_window import Box
from zegclip.vocabulary import Background, Vocabulary

from .base import Inferencer
from .class_words import EMBEDDINGS_FILE, ClassWords, text_fingerprint
from .preprocessing import Preprocessor, check_steps

METADATA_KEY, VERSION = "zegclip", 7
_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
# Boxes of some windows and their pixels (N, 3, h, w), whole patches.
_Windows = tuple[list[Box], Tensor]


class OnnxInferencer(Inferencer):
    """A model that ``tools/export_onnx.py`` wrote; called as :class:`ZeroShotInferencer` is.

    Words become class embeddings in one of two ways. With ``words=`` they are looked up in a file
    that the tool wrote, and neither CLIP nor the checkpoint is needed. With ``config=`` and
    ``checkpoint=`` the text encoder in torch embeds any word.

    One graph holds image encoder and head, so :meth:`encode` only prepares an image: segmenting it
    again costs as much as the first time. There are no attention maps, and an exported model can be
    neither put on the Hub nor fetched from it.

    Args:
        path: the ``.onnx`` file.
        words: the ``.npz`` file of class embeddings; default: ``words.npz`` beside the model, where
            neither config nor checkpoint is given.
        config: of the checkpoint that the file was exported from.
        checkpoint: that checkpoint.
        device: ``"cpu"`` (default), or ``"cuda"``, ``"cuda:1"`` where ONNX Runtime has it.

    Attributes:
        description: the model's settings in the file; see ``describe()`` in
            ``tools/support/onnx_graph.py``.

    Raises:
        InputError: a file is missing or broken, or they do not fit together.

    Example:
        >>> segment = OnnxInferencer("model.onnx", words="words.npz")
        >>> segment("photo.jpg", ["cat", "dog"]).draw().save("photo_classes.png")
    """

    def __init__(
        self,
        path: str | Path,
        words: str | Path | None = None,
        config: str | Path | None = None,
        checkpoint: str | Path | None = None,
        device: str | torch.device | None = None,
    ) -> None:
        session = open_session(path, device or "cpu")
        self.description = found = read_description(session, str(path))
        self.config, self.checkpoint = found["config"], str(path)
        trained_for = own = found["own"]
        text_encoder = None
        if config is not None or checkpoint is not None:
            if words is not None:
                raise InputError("give words=, or config= and checkpoint=, not both")
            cfg, file = choose_files(config, checkpoint)
            segmentor = load_model(cfg, file, torch.device("cpu"))
            self._check_text(text_fingerprint(segmentor), file or str(cfg.filename))
            text_encoder = segmentor.text_encoder

            def embed(vocabulary: Vocabulary) -> np.ndarray:
                return segmentor.class_embeddings(vocabulary).numpy()
        else:
            file = str(words or Path(path).parent / EMBEDDINGS_FILE)
            saved = ClassWords.read(file)
            self._check_text(saved.text_fingerprint, file)
            embed = saved.rows
            if own is None or dict(zip(own.classes, own.words)) != saved.words:
                names = tuple(saved.words)
                own = Vocabulary(names, synonyms=saved.words, setting="cross_dataset")
        test_cfg = found["test_cfg"]
        super().__init__(
            _Graph(session, found, embed),
            Preprocessor(found["resize"], found["preprocessor"], test_cfg, found["patch_size"]),
            text_encoder,
            found["background"],
            test_cfg["refine"] is not None,
            trained_for,
            own,
        )

    def _check_text(self, theirs: str, name: str) -> None:
        if theirs != self.description["text_fingerprint"]:
            raise InputError(
                f"{name} embeds words otherwise than {self.checkpoint} was trained with (CLIP "
                f"weights other than {self.description['clip']}, other templates, or another "
                "learned text encoder): take what it was exported with, or export again"
            )

    def _check_words(self, vocabulary: Vocabulary) -> None:
        if self._text_encoder is None:
            self.model.embed(self.model.read_out(vocabulary).queries)
        else:
            super()._check_words(vocabulary)


def open_session(path: str | Path, device: str | torch.device = "cpu") -> Any:
    """Load a file into ONNX Runtime, which gets as many threads as torch computes with.

    Args:
        path: of the ``.onnx`` file.
        device: ``"cpu"``, ``"cuda"`` or ``"cuda:INDEX"``.

    Returns:
        onnxruntime's ``InferenceSession``.

    Raises:
        InputError: ONNX Runtime is not installed or lacks the device, or the file is missing or
            broken.
    """
    try:
        import onnxruntime  # (an extra: only exported files need it)
    except ImportError as error:
        raise InputError("exported models run in ONNX Runtime: pip install onnxruntime") from error
    available = onnxruntime.get_available_providers()
    kind, _, index = str(device).partition(":")
    provider = _PROVIDERS.get(kind)
    if provider not in available or not (index or "0").isdigit():
        raise InputError(
            f"device {str(device)!r}: take cpu, cuda or cuda:INDEX, as far as this ONNX Runtime "
            f"has it: {', '.join(available)}"
        )
    providers = [(provider, {"device_id": index} if index and kind == "cuda" else {})]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers, enable_fallback=0)
    except Exception as error:  # its exceptions have no common class of their own
        raise InputError(f"{path} cannot be loaded by ONNX Runtime: {error}") from error
    # (It goes on with the CPU where a library of CUDA's is missing.)
    if provider not in session.get_providers():
        raise InputError(f"device {str(device)!r} cannot be used: ONNX Runtime's log says why")
    return session


def read_description(session: Any, name: str) -> dict[str, Any]:
    """The settings that an exported model must be used with; an untrusted file runs no code.

    Args:
        session: from :func:`open_session`.
        name: the file's name, for messages.

    Raises:
        InputError: the file is another program's, of another version, or asks for other steps.
    """
    metadata = session.get_modelmeta().custom_metadata_map
    try:
        found = json.loads(metadata.get(METADATA_KEY, "{}"))
        if found.get("version") != VERSION:
            raise InputError("not written by this version of tools/export_onnx.py")
        check_steps(found["resize"])
        if not 0 < found["patch_size"] < 1024 or not isinstance(found["patch_size"], int):
            raise InputError(f"patch_size {found['patch_size']}")
        statistics = found["normalisation"]
        if not all(map(math.isfinite, [*statistics["mean"], *statistics["std"]])):
            raise InputError("mean or std is no number")
        if "test_cfg" in statistics:  # would pad to any size
            raise InputError("normalisation.test_cfg")
        found["test_cfg"] = checked_test_cfg(found["test_cfg"], found["patch_size"])
        found["background"] = Background(**found["background"])
        found |= {key: bool(found[key]) for key in ("words_apart", "averages_logits")}
        found["own"] = Vocabulary.from_metainfo(v) if (v := found["vocabulary"]) else None
        found["preprocessor"] = SegDataPreProcessor(**statistics)
    except InputError as error:
        raise InputError(f"{name}: {error}") from error
    except Exception as error:  # whatever is wrong with a text of anybody's
        raise InputError(f"{name}: its description cannot be used: {error!r}") from error
    return found


class _Graph:
    """An exported graph with the methods of a segmentor that an inferencer calls.

    A graph gives probabilities. Where a head's windows are averaged as logits, their logarithms
    are: they differ from the logits by one number at each pixel, which softmax does not see.

    Args:
        session: ONNX Runtime's.
        description: the file's, from :func:`read_description`.
        embed: a function from a vocabulary to its class embeddings, ``(C, D)`` float32.
    """

    def __init__(
        self,
        session: Any,
        description: Mapping[str, Any],
        embed: Callable[[Vocabulary], np.ndarray],
    ) -> None:
        self._session = session
        self._description = description
        self._averages_logits = description["averages_logits"]
        self.embed = embed

    def set_vocabulary(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary

    def read_out(self, vocabulary: Vocabulary, background: Background | None = None) -> ReadOut:
        """The read-out of the graph's output, which is calibrated already."""

        def softmax(output: HeadOutput) -> Prediction:
            return Prediction(output.mask_logits.softmax(dim=1), output.extra_maps)

        head: Any = SimpleNamespace(
            words_apart=self._description["words_apart"],
            predict=softmax if self._averages_logits else as_prediction,
        )
        return ReadOut(head, vocabulary, background=background)

    def encode_windows(self, inputs: Tensor) -> Iterator[_Windows]:
        return cut_windows(inputs, self._description["test_cfg"], self._description["patch_size"])

    def decode_windows(
        self,
        windows: Iterable[_Windows],
        size: tuple[int, int],
        background: Background | None = None,
        images: Tensor | None = None,
    ) -> list[ImagePrediction]:
        vocabulary = self._vocabulary
        read_out = self.read_out(vocabulary, background)
        asked = read_out.queries.classes
        calibrated = vocabulary.classes if vocabulary.is_calibrated else ()
        inputs = {
            "class_embeddings": self.embed(read_out.queries),
            "seen": np.isin(asked, vocabulary.seen),
            "calibrated": np.isin(asked, calibrated),
        }
        groups = ((boxes, self._run(pixels, inputs)) for boxes, pixels in windows)
        return predictions_of_images(groups, size, 1, read_out, self._averages_logits, images)

    def _run(self, pixels: Tensor, inputs: Mapping[str, np.ndarray]) -> HeadOutput:
        """Probabilities, or their logarithms, and extra maps, at pixels already."""
        outputs = self._session.run(None, {"image": pixels.numpy(), **inputs})
        names = [output.name for output in self._session.get_outputs()]
        maps = dict(zip(names, map(torch.from_numpy, outputs)))
        probabilities = maps.pop("probabilities")
        if self._averages_logits:
            probabilities.clamp_(min=torch.finfo(torch.float32).tiny).log_()
        return HeadOutput(probabilities, maps)
