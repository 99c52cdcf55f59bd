"""The segmentor of all methods: vocabulary, image and class embeddings, head, windows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from mmengine.structures import PixelData
from mmseg.models.segmentors import BaseSegmentor
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor

from zegclip.clip import LoadedClip, load_clip
from zegclip.heads import HeadOutput, HeadPrediction, ZeroShotHead, upsample
from zegclip.vocabulary import Vocabulary, make_palette

from .config_vocabulary import completed_vocabulary
from .intermediate import ImageRegions, attention_maps, region_at
from .learned_state import clip_identity, keep_learned_state
from .pseudo_labels import PseudoLabelCounter, pseudo_label
from .query_labels import QueryLabels
from .restoring import restored, without_padding
from .sliding_window import Box, average_windows, padded_windows, without_window_padding

_VOCABULARIES_KEPT = 64


class EncodedWindows(NamedTuple):
    """What the image encoder makes of windows of one size.

    Attributes:
        boxes: (top, left, bottom, right) of each window in the image, pixels.
        patch_embeddings: V, ``(N, D, h, w)``, N windows of each image in turn.
        cls_embedding: g, ``(N, D)``.
    """

    boxes: list[Box]
    patch_embeddings: Tensor
    cls_embedding: Tensor


@MODELS.register_module()
class ZeroShotSegmentor(BaseSegmentor):
    """Frozen CLIP with prompts, class embeddings of the current vocabulary, and a head.

    The vocabulary (class names, seen / unseen, setting) is not part of the model: it is set from
    the data set's metainfo (:meth:`set_vocabulary`), and may be swapped at any time.

    A checkpoint holds the learned parameters and the fingerprint of the CLIP weights that they
    were trained with, not CLIP itself; loading it beside other CLIP weights is an error.

    Source: ZegCLIP, Sec. 3; sliding windows: published code.

    Args:
        clip: ``model_name`` and ``weights`` (see :func:`zegclip.clip.load_clip`).
        image_encoder: config of the image encoder.
        text_encoder: config of the text encoder.
        decode_head: config of a :class:`~zegclip.heads.ZeroShotHead`; ``embed_dims`` is CLIP's.
        data_preprocessor: config of mmseg's ``SegDataPreProcessor``.
        test_cfg: ``mode`` (``"slide"`` or ``"whole"``), and for ``"slide"`` ``crop_size`` and
            ``stride``, pairs of pixels, and ``window_batch``, how many windows are run at once.
        train_cfg: unused, accepted because mmseg's tools set it.
        pretrained: unused, as ``train_cfg``.
        init_cfg: mmengine's.
    """

    clip_fingerprint: Tensor

    def __init__(
        self,
        clip: dict[str, Any] | LoadedClip,
        image_encoder: dict[str, Any],
        text_encoder: dict[str, Any],
        decode_head: dict[str, Any],
        data_preprocessor: dict[str, Any] | None = None,
        test_cfg: dict[str, Any] | None = None,
        train_cfg: None = None,
        pretrained: None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        if not isinstance(clip, LoadedClip):
            clip = load_clip(**clip)
        self.clip_source = {"model_name": clip.model_name, "weights": clip.weights}
        self.image_encoder = MODELS.build(image_encoder, default_args={"clip": clip})
        self.text_encoder = MODELS.build(text_encoder, default_args={"clip": clip})
        self.decode_head: ZeroShotHead = MODELS.build(
            decode_head, default_args={"embed_dims": self.image_encoder.embed_dims}
        )
        self.test_cfg = checked_test_cfg(test_cfg or {}, self.image_encoder.patch_size)
        quirks = self.image_encoder.fixed_settings() | self.decode_head.quirks()
        identity = bytearray.fromhex(clip_identity(clip.fingerprint, quirks))
        self.register_buffer("clip_fingerprint", torch.frombuffer(identity, dtype=torch.uint8))
        keep_learned_state(self, clip, quirks)

        self._vocabulary: Vocabulary | None = None
        self._embeddings_of: dict[tuple[tuple[str, ...], ...], Tensor] = {}
        self._embedded_with: list[Tensor] = []

    # --- vocabulary -------------------------------------------------------------------------

    def set_vocabulary(self, vocabulary: Vocabulary) -> None:
        """Choose the classes that are segmented from now on; their embeddings are cached."""
        if vocabulary == self._vocabulary:
            return
        self._vocabulary = vocabulary
        self._training_vocabulary = vocabulary.training
        self._query_labels = QueryLabels(vocabulary)
        self._seen = torch.zeros(len(vocabulary.classes), dtype=torch.bool)
        self._seen[list(vocabulary.seen_ids)] = True
        self._train_ids = torch.tensor(vocabulary.train_ids)
        self._unseen_ids = torch.tensor(vocabulary.unseen_ids, dtype=torch.long)
        self.pseudo_labelled = PseudoLabelCounter(len(vocabulary.classes))

    @property
    def vocabulary(self) -> Vocabulary:
        """The current vocabulary; ``RuntimeError`` while there is none."""
        if self._vocabulary is None:
            raise RuntimeError(
                "this model has no vocabulary yet: call set_vocabulary(), or add "
                "dict(type='VocabularyHook') to custom_hooks so that the data set's is used"
            )
        return self._vocabulary

    @property
    def dataset_meta(self) -> dict[str, Any] | None:
        """Metainfo of the data set whose classes are segmented (as mmseg's tools use it)."""
        return getattr(self, "_dataset_meta", None)

    @dataset_meta.setter
    def dataset_meta(self, metainfo: Mapping[str, Any]) -> None:
        self.set_vocabulary(completed_vocabulary(metainfo, getattr(self, "cfg", None)))
        self._dataset_meta = dict(metainfo)
        if metainfo.get("palette") is None:  # mmseg's drawing needs one
            self._dataset_meta["palette"] = make_palette(len(self.vocabulary.classes))

    @torch.inference_mode(False)  # what is cached may be used in training
    @torch.no_grad()
    def class_embeddings(self) -> Tensor:
        """T of the whole vocabulary, ``(C, D)``, on the model's device, without gradient.

        Computed once, and again after a learning text encoder has learned.
        """
        learned = [p for p in self.text_encoder.parameters() if p.requires_grad]
        if not _all_equal(learned, self._embedded_with):
            # By value: fused optimizers, EMA and others change parameters without a trace.
            self._embedded_with = [parameter.detach().clone() for parameter in learned]
            self._embeddings_of.clear()
        words = self.vocabulary.words
        embeddings = self._embeddings_of.pop(words, None)
        if embeddings is None:
            embeddings = self.text_encoder(self.vocabulary)
            while len(self._embeddings_of) >= _VOCABULARIES_KEPT:  # the one longest unused
                self._embeddings_of.pop(next(iter(self._embeddings_of)))
        self._embeddings_of[words] = embeddings = embeddings.to(self.clip_fingerprint.device)
        return embeddings

    def training_embeddings(self) -> Tensor:
        """T of the training classes, ``(C, D)``; with gradient where the text encoder learns."""
        if self.text_encoder.learns:
            return self.text_encoder(self._training_vocabulary)
        embeddings = self.class_embeddings()
        self._train_ids = self._train_ids.to(embeddings.device)  # once
        return embeddings[self._train_ids]

    # --- training ---------------------------------------------------------------------------

    def loss(self, inputs: Tensor, data_samples: Sequence[SegDataSample]) -> dict[str, Tensor]:
        """Losses of a batch; queries are the vocabulary's training classes.

        In the transductive setting the unseen pixels are pseudo-labelled first, each step.

        Args:
            inputs: normalised images, ``(B, 3, H, W)``.
            data_samples: with ``gt_sem_seg`` over the whole vocabulary, 255 = ignored.

        Raises:
            InputError: a label id of an unseen class arrived in the inductive setting.
        """
        vocabulary = self.vocabulary
        full_labels = torch.cat([sample.gt_sem_seg.data for sample in data_samples])
        labels = self._query_labels(full_labels, data_samples)
        transductive = vocabulary.setting == "transductive"
        unseen_map = None
        if transductive or self.decode_head.needs_unseen_map:
            unseen_map = _unseen_maps(data_samples, labels.shape[-2:])
        output = self.decode_head(*self.image_encoder(inputs), self.training_embeddings())
        if transductive:
            assert unseen_map is not None
            self._unseen_ids = self._unseen_ids.to(labels.device)  # once
            # Of the unseen classes alone: all of COCO-Stuff's maps would be gigabytes.
            logits = output.mask_logits.detach()[:, self._unseen_ids]
            logits = upsample(logits, labels.shape[-2:])
            labels = pseudo_label(labels, unseen_map, logits, self._unseen_ids)
            self.pseudo_labelled.add(labels, unseen_map)
        return self.decode_head.losses(output, labels, unseen_map)

    # --- inference --------------------------------------------------------------------------

    def predict(
        self, inputs: Tensor, data_samples: Sequence[SegDataSample] | None = None
    ) -> list[SegDataSample]:
        """Segment a batch of images of one size.

        Args:
            inputs: normalised images, ``(B, 3, H, W)``, of any size.
            data_samples: their samples; results go to the sizes of ``ori_shape``.

        Returns:
            The samples with ``pred_sem_seg`` (1, H, W), ``seg_logits`` (C, H, W; the class
            probabilities) and, where the head has one, ``trusty_map`` (1, H, W).
        """
        prediction = self.encode_decode(inputs)
        samples = list(data_samples or [SegDataSample() for _ in inputs])
        for index, sample in enumerate(samples):
            rows, columns = without_padding(sample.metainfo, inputs.shape[-2:])
            inner = prediction.probabilities[index : index + 1, :, rows, columns]
            size = sample.metainfo.get("ori_shape", inner.shape[-2:])[:2]
            flip = sample.metainfo.get("flip_direction") if sample.metainfo.get("flip") else None
            probabilities = restored(inner, size, flip)
            sample.seg_logits = PixelData(data=probabilities)
            sample.pred_sem_seg = PixelData(data=probabilities.argmax(dim=0, keepdim=True))
            if prediction.trusty_map is not None:
                inner = prediction.trusty_map[index : index + 1, :, rows, columns]
                trusty_map = restored(inner, size, flip)
                sample.trusty_map = PixelData(data=trusty_map)
        return samples

    def encode_decode(
        self, inputs: Tensor, batch_data_samples: Sequence[SegDataSample] | None = None
    ) -> HeadPrediction:
        """Probabilities (and trusty map) at the input's size, whole or by sliding windows."""
        return self.decode_windows(self.encode_windows(inputs), tuple(inputs.shape[-2:]))

    def encode_windows(self, inputs: Tensor) -> Iterator[EncodedWindows]:
        """What the image encoder makes of an image; it does not depend on the vocabulary.

        Args:
            inputs: normalised images, ``(B, 3, H, W)``.

        Yields:
            Groups of windows (one that is the whole image where ``mode="whole"``), each padded to
            whole patches.
        """
        for boxes, padded in padded_windows(inputs, self.test_cfg, self.image_encoder.patch_size):
            patches, cls = self.image_encoder(padded)
            yield EncodedWindows(boxes, patches, cls)

    def decode_windows(
        self, windows: Iterable[EncodedWindows], size: tuple[int, int]
    ) -> HeadPrediction:
        """Ask for the current vocabulary in an encoded image.

        Args:
            windows: from :meth:`encode_windows`; may be asked again with other vocabularies.
            size: (H, W) of the image that they are of.

        Returns:
            Maps of that size.
        """
        return average_windows(((group.boxes, self._decode(group)) for group in windows), size)

    def _decode(self, windows: EncodedWindows) -> HeadPrediction:
        """A group of windows; what was padded is cut off again."""
        patch_size = self.image_encoder.patch_size
        rows, columns = windows.patch_embeddings.shape[-2:]
        self._seen = self._seen.to(windows.patch_embeddings.device)  # once
        prediction = self.decode_head.predict(
            self.decode_head(
                windows.patch_embeddings, windows.cls_embedding, self.class_embeddings()
            ),
            (rows * patch_size, columns * patch_size),
            self._seen,
            inductive=self.vocabulary.setting == "inductive",
        )
        return without_window_padding(prediction, windows.boxes)

    def extract_feat(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Patch embeddings ``(B, D, h, w)`` and CLS embedding ``(B, D)``."""
        return self.image_encoder(inputs)

    def _forward(
        self, inputs: Tensor, data_samples: Sequence[SegDataSample] | None = None
    ) -> HeadOutput:
        return self.decode_head(*self.image_encoder(inputs), self.class_embeddings())

    # --- figures ----------------------------------------------------------------------------

    @torch.no_grad()
    def attention_maps(self, data: dict[str, Any]) -> list[Tensor]:
        """The head's :meth:`~zegclip.heads.ZeroShotHead.attention_maps` of a batch of a data set.

        Args:
            data: as :meth:`test_step` takes it.

        Returns:
            ``(C, H, W)`` for each image, at its original size; the mean where windows overlap.
        """
        return attention_maps(self, data)

    @torch.no_grad()
    def region_at(self, data: dict[str, Any], point: tuple[float, float]) -> ImageRegions:
        """The regions that the region around a point of an image attends to.

        Args:
            data: one image, as :meth:`test_step` takes it.
            point: (x, y) in pixels of the original image.

        Raises:
            InputError: the method has no regions.
        """
        return region_at(self, data, point)

    # --- report -----------------------------------------------------------------------------

    def protocol(self) -> dict[str, Any]:
        """The model's choices that a reported number depends on."""
        mode = {key: self.test_cfg[key] for key in ("mode", "crop_size", "stride")}
        return {
            "clip": {**self.clip_source, "fingerprint": bytes(self.clip_fingerprint).hex()},
            **self.text_encoder.protocol(),
            "normalisation": _normalisation(self.data_preprocessor),
            "inference": mode,
            **self.decode_head.protocol(self.vocabulary.setting == "inductive"),
        }


def checked_test_cfg(test_cfg: Mapping[str, Any], patch_size: int) -> dict[str, Any]:
    """``test_cfg`` with its defaults; ``ValueError`` where a setting cannot be."""
    known = {"mode": "whole", "crop_size": None, "stride": None, "window_batch": 4}
    if unknown := set(test_cfg) - set(known):
        raise ValueError(f"test_cfg: unknown {sorted(unknown)}; known are {sorted(known)}")
    checked = {**known, **test_cfg}
    if checked["mode"] not in ("whole", "slide"):
        raise ValueError(f"test_cfg: mode={checked['mode']!r} is neither 'whole' nor 'slide'")
    if checked["mode"] == "slide":
        for key in ("crop_size", "stride"):
            if checked[key] is None:
                raise ValueError(f"test_cfg: mode='slide' needs {key}=(height, width)")
            checked[key] = tuple(checked[key])
        if any(side % patch_size for side in checked["crop_size"]):
            raise ValueError(
                f"test_cfg: crop_size={checked['crop_size']} must be multiples of the patch size "
                f"{patch_size}"
            )
        if any(
            s > c or s < 1 for s, c in zip(checked["stride"], checked["crop_size"], strict=True)
        ):
            raise ValueError(
                f"test_cfg: stride={checked['stride']} must be between 1 and "
                f"crop_size={checked['crop_size']}, or pixels are left out"
            )
    return checked


def _normalisation(preprocessor: Any) -> dict[str, Any]:
    """Mean and standard deviation of the input's channels, 0..255, where it is normalised."""
    values = {key: getattr(preprocessor, key, None) for key in ("mean", "std")}
    return {
        "rgb": bool(getattr(preprocessor, "channel_conversion", False)),
        **{key: None if v is None else v.flatten().tolist() for key, v in values.items()},
    }


def _all_equal(tensors: Sequence[Tensor], others: Sequence[Tensor]) -> bool:
    return len(tensors) == len(others) and all(
        one.device == other.device and torch.equal(one, other)
        for one, other in zip(tensors, others, strict=True)
    )


def _unseen_maps(data_samples: Sequence[SegDataSample], size: torch.Size) -> Tensor:
    """``gt_unseen_map`` of a batch as ``(B, H, W)`` bool, padded as the labels were."""
    maps = []
    for sample in data_samples:
        if "gt_unseen_map" not in sample:
            raise ValueError(
                "this run needs the data set's unseen map: put HideUnseenLabels into the training "
                "pipeline, and for trusty_target='unseen_gt' set its keep_unseen_map=True"
            )
        unseen = sample.gt_unseen_map.data
        bottom, right = (full - own for full, own in zip(size, unseen.shape[-2:], strict=True))
        maps.append(F.pad(unseen, (0, right, 0, bottom)))
    return torch.cat(maps) == 1
