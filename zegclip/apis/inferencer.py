"""A model in torch: photographs and words in, segmentations out."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config

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
from zegclip.vocabulary import Vocabulary, check_known

from . import pretrained
from .base import ClassNames, ImageInput, Inferencer
from .preprocessing import Preprocessor, image_steps


class ZeroShotInferencer(Inferencer):
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
        background: the default rule for pixels of no class, where the caller names the classes.
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
        test_cfg, cell = model.test_cfg, model.image_encoder.patch_size
        meta = model.dataset_meta
        super().__init__(
            model,
            Preprocessor(image_steps(cfg), model.data_preprocessor, test_cfg, cell),
            model.text_encoder,
            model.decode_head.background,
            test_cfg["refine"] is not None,
            Vocabulary.from_metainfo(meta) if meta else None,
        )

    def attention(self, image: ImageInput, text: ClassNames, name: str) -> np.ndarray:
        """How much a class and each pixel attend to each other in the head's last layer.

        ``model.decode_head.attention_meaning`` says what the numbers mean.

        Args:
            image: as :meth:`__call__` takes it.
            text: all classes that the model is asked for, as :meth:`__call__` takes them.
            name: the one of these classes.

        Returns:
            ``(H, W)`` float32, 0..1; where windows overlap, their mean.

        Raises:
            InputError: the image or the words cannot be used, or the name is none of the classes.
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
            device: as the class takes it.

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
            folder: is made; one that holds other things' ``README.md``, ``config.json`` or
                ``report.json`` is refused.
            report: path of the ``report.json`` of a test of this model. It is copied into the
                folder, and its scores, protocol and command are written into the card.
            licence: licence of the learned weights, as the Hub spells it (``"apache-2.0"``).

        Raises:
            InputError: the config is not the training's or holds what cannot be data, the report is
                of another model, or the folder is of something else.
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
        """Put what :meth:`save_pretrained` writes on the Hugging Face Hub, by your login there.

        Args:
            name: ``"user/name"``; made where it is not there yet.
            report: as :meth:`save_pretrained` takes it.
            licence: as :meth:`save_pretrained` takes it.
            private: whether a repository that is made now can be seen by you alone.
            revision: the branch; default: the main one.

        Returns:
            The commit's address.

        Raises:
            InputError: :meth:`save_pretrained` would refuse it; or the Hub does.
        """
        with tempfile.TemporaryDirectory() as folder:
            self._write(Path(folder), name, report, licence)
            return pretrained.push(Path(folder), name, private, revision)

    def _write(self, folder: Path, name: str, report: str | Path | None, licence: str) -> None:
        meta = checkpoint_meta(self.checkpoint) if self.checkpoint else {}
        pretrained.write(folder, self._cfg, self.model, name, report, licence, meta)
