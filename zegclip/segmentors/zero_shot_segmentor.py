"""The segmentor of all methods: vocabulary, loss, prediction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from mmengine.structures import PixelData
from mmseg.models.segmentors import BaseSegmentor
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor

from zegclip.clip import LoadedClip, load_clip
from zegclip.datasets.from_config import completed_metainfo
from zegclip.errors import InputError
from zegclip.heads import HeadOutput, ZeroShotHead, upsample
from zegclip.vocabulary import (
    IGNORE_INDEX,
    Background,
    Vocabulary,
    background_id,
    make_palette,
)

from .image_prediction import ImagePrediction, predictions_of_images
from .learned_state import leave_clip_out
from .read_out import ReadOut
from .sliding_window import Box, checked_test_cfg, cut_windows, to_original
from .training_labels import (
    PSEUDO_LABELS,
    PseudoLabelCounter,
    QueryLabels,
    pseudo_label,
    unlabelled_maps,
    unseen_maps,
)

_VOCABULARIES_KEPT = 64


class EncodedWindows(NamedTuple):
    """The image encoder's output for windows of one size.

    Attributes:
        boxes: (top, left, bottom, right) of each window in the image, pixels.
        patch_embeddings: V, ``(N, D, h, w)``: all images of the first box, then of the second, …
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

    A checkpoint holds everything but CLIP, and the fingerprint of the CLIP weights that it was
    trained with; loading it beside other CLIP weights is an error.

    Source: ZegCLIP, Sec. 3; sliding windows: published code.

    Args:
        clip: ``model_name`` and ``weights`` (see :func:`zegclip.clip.load_clip`).
        image_encoder: config of the image encoder.
        text_encoder: config of the text encoder.
        decode_head: config of a :class:`~zegclip.heads.ZeroShotHead`; ``embed_dims`` is CLIP's.
        data_preprocessor: config of mmseg's ``SegDataPreProcessor``.
        test_cfg: see :func:`~zegclip.segmentors.sliding_window.checked_test_cfg`.
        pseudo_labels: in the transductive setting, which pixels get the model's own choice among
            the unseen classes as label: ``"unseen_pixels"``, whose ground truth is an unseen class
            (which one is not told; the published step, † in papers' tables), or
            ``"all_unlabelled"``, background and void too, for which no hidden mask is looked at.
        train_cfg: must be ``None``, which mmseg's tools set.
        pretrained: as ``train_cfg``.
        init_cfg: mmengine's.

    Example:
        >>> model = MODELS.build(Config.fromfile("configs/zegclip_mini_inductive.py").model)
        >>> model.set_vocabulary(Vocabulary(["cat", "dog"], unseen=["dog"]))
        >>> model.eval().predict(torch.randn(1, 3, 96, 96))[0].pred_sem_seg.data.shape
        torch.Size([1, 96, 96])
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
        pseudo_labels: str = "unseen_pixels",
        train_cfg: None = None,
        pretrained: None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        if train_cfg is not None or pretrained is not None:
            raise InputError("model.train_cfg and model.pretrained are not used: leave them out")
        if pseudo_labels not in PSEUDO_LABELS:
            raise InputError(f"pseudo_labels={pseudo_labels!r} is none of {PSEUDO_LABELS}")
        self.pseudo_labels = pseudo_labels
        if not isinstance(clip, LoadedClip):
            clip = load_clip(**clip)
        self.clip_source = {
            "model_name": clip.model_name,
            "weights": clip.weights,
            "fingerprint": clip.fingerprint,
        }
        self.image_encoder = MODELS.build(image_encoder, default_args={"clip": clip})
        self.text_encoder = MODELS.build(text_encoder, default_args={"clip": clip})
        self.decode_head: ZeroShotHead = MODELS.build(
            decode_head, default_args={"embed_dims": self.image_encoder.embed_dims}
        )
        if pseudo_labels == "all_unlabelled" and self.decode_head.needs_unseen_map:
            raise InputError(
                "pseudo_labels='all_unlabelled' looks at no hidden mask, and this decode_head's "
                "loss needs one: change either"
            )
        self.test_cfg = checked_test_cfg(test_cfg or {}, self.image_encoder.patch_size)
        fixed_settings = self.image_encoder.fixed_settings() | self.decode_head.fixed_settings()
        self._active_settings = [name for name, is_on in fixed_settings.items() if is_on]
        leave_clip_out(self, clip, fixed_settings)
        self._dataset_meta: dict[str, Any] | None = None
        self._vocabulary: Vocabulary | None = None
        self._embeddings_of: dict[tuple[tuple[str, ...], ...], Tensor] = {}

    # --- vocabulary -------------------------------------------------------------------------

    def set_vocabulary(self, vocabulary: Vocabulary) -> None:
        """Choose the classes that are segmented from now on; their embeddings are cached."""
        if vocabulary == self._vocabulary:
            return
        self._vocabulary = vocabulary
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
                "this model has no vocabulary yet: call set_vocabulary(), or keep "
                "default_hooks.vocabulary so that the data set's is used"
            )
        return self._vocabulary

    @property
    def dataset_meta(self) -> dict[str, Any] | None:
        """Metainfo of the data set whose classes are segmented (as mmseg's tools use it)."""
        return self._dataset_meta

    @dataset_meta.setter
    def dataset_meta(self, metainfo: Mapping[str, Any]) -> None:
        # (mmseg's inferencer keeps classes and palette only; the rest is in its config.)
        completed = completed_metainfo(metainfo, getattr(self, "cfg", None))
        self.set_vocabulary(Vocabulary.from_metainfo(completed))
        # (Its visualizer takes no other keys.)
        self._dataset_meta = dict(metainfo)
        if metainfo.get("palette") is None:  # mmseg's drawing needs one
            self._dataset_meta["palette"] = make_palette(len(self.vocabulary.classes))

    @torch.inference_mode(False)  # what is cached may be used in training
    @torch.no_grad()
    def class_embeddings(self, vocabulary: Vocabulary | None = None) -> Tensor:
        """T of a vocabulary (default: the current one), ``(C, D)``, without gradient.

        On the model's device and in its precision, computed once for each vocabulary. Those of a
        learning text encoder are forgotten whenever the model changes between training and
        evaluation, or loads weights.
        """
        vocabulary = vocabulary or self.vocabulary
        words = vocabulary.words
        embeddings = self._embeddings_of.pop(words, None)
        if embeddings is None:
            embeddings = self.text_encoder(vocabulary)
            while len(self._embeddings_of) >= _VOCABULARIES_KEPT:  # the one longest unused
                self._embeddings_of.pop(next(iter(self._embeddings_of)))
        # On its device, in its precision.
        embeddings = embeddings.to(next(self.image_encoder.parameters()))
        if not (self.training and self.text_encoder.learns):
            self._embeddings_of[words] = embeddings
        return embeddings

    def training_embeddings(self) -> Tensor:
        """T of the training classes, ``(C, D)``; with gradient where the text encoder learns."""
        if self.text_encoder.learns:
            return self.text_encoder(self.vocabulary.training)
        embeddings = self.class_embeddings()
        self._train_ids = self._train_ids.to(embeddings.device)  # once
        return embeddings[self._train_ids]

    def train(self, mode: bool = True) -> ZeroShotSegmentor:
        """As any module's; cached embeddings of a learning text encoder are forgotten."""
        if self.text_encoder.learns:
            self._embeddings_of.clear()
        return super().train(mode)

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self._embeddings_of.clear()
        super()._load_from_state_dict(*args, **kwargs)

    # --- training ---------------------------------------------------------------------------

    def loss(self, inputs: Tensor, data_samples: Sequence[SegDataSample]) -> dict[str, Tensor]:
        """Losses of a batch; queries are the vocabulary's training classes.

        Args:
            inputs: normalised images, ``(B, 3, H, W)``.
            data_samples: with ``gt_sem_seg`` over the whole vocabulary, 255 = ignored.

        Raises:
            InputError: a label id of an unseen class arrived, but in the supervised setting.
        """
        vocabulary = self.vocabulary
        full_labels = torch.cat([sample.gt_sem_seg.data for sample in data_samples])
        labels = self._query_labels(full_labels, data_samples)
        transductive = vocabulary.setting == "transductive"
        unseen_map = None
        if transductive and self.pseudo_labels == "all_unlabelled":
            unseen_map = unlabelled_maps(labels, data_samples)
        elif transductive or self.decode_head.needs_unseen_map:
            unseen_map = unseen_maps(data_samples, labels.shape[-2:])
        # T of the training classes, V and g of the images: masks.
        class_embeddings = self.training_embeddings()
        output = self.decode_head(*self.image_encoder(inputs), class_embeddings)
        if transductive:
            # The model's own choice is the label of these pixels, anew in each step.
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
            The samples with ``pred_sem_seg`` (1, H, W) and the head's extra maps (K, H, W) under
            their names; with ``test_cfg.keep_probabilities`` also ``seg_logits``, the class
            probabilities (C, H, W), and behind them that of a background without a class.
        """
        samples = list(data_samples or [SegDataSample() for _ in inputs])
        for sample, prediction in zip(samples, self.encode_decode(inputs)):
            if self.test_cfg["keep_probabilities"]:
                whole = prediction.whole()
                probabilities = to_original(whole.probabilities, sample.metainfo)
                sample.seg_logits = PixelData(data=probabilities)
                labels = probabilities.argmax(dim=0)
                extra_maps = {
                    name: to_original(maps, sample.metainfo)
                    for name, maps in whole.extra_maps.items()
                }
            else:
                labels, extra_maps = prediction.labels(sample.metainfo)
            labels[labels == len(self.vocabulary.classes)] = IGNORE_INDEX  # the background
            sample.pred_sem_seg = PixelData(data=labels[None])
            for name, maps in extra_maps.items():
                sample.set_data({name: PixelData(data=maps)})
        return samples

    def encode_decode(
        self, inputs: Tensor, batch_data_samples: Sequence[SegDataSample] | None = None
    ) -> list[ImagePrediction]:
        """The prediction of each image, whole or by sliding windows."""
        windows, size = self.encode_windows(inputs), tuple(inputs.shape[-2:])
        return self.decode_windows(windows, size, **self.decode_options(inputs))

    def decode_options(self, inputs: Tensor) -> dict[str, Any]:
        """The arguments of :meth:`decode_windows` by ``test_cfg``; images are ``(B, 3, H, W)``."""
        background, refine = self.test_cfg["background"], self.test_cfg["refine"]
        return {
            "background": Background(**background) if background else None,
            "images": inputs if refine else None,
        }

    def encode_windows(self, inputs: Tensor) -> Iterator[EncodedWindows]:
        """Encode the windows of a batch of images; this does not depend on the vocabulary.

        Args:
            inputs: normalised images, ``(B, 3, H, W)``.

        Yields:
            Groups of windows (one that is the whole image where ``mode="whole"``), each padded to
            whole patches.
        """
        for boxes, pixels in cut_windows(inputs, self.test_cfg, self.image_encoder.patch_size):
            yield EncodedWindows(boxes, *self.image_encoder(pixels))

    def decode_windows(
        self,
        windows: Iterable[EncodedWindows],
        size: tuple[int, int],
        calibrated: bool = True,
        background: Background | None = None,
        images: Tensor | None = None,
    ) -> list[ImagePrediction]:
        """Predict the current vocabulary in encoded images.

        Args:
            windows: from :meth:`encode_windows`; may be asked again with other vocabularies.
            size: (H, W) of the images that they are of.
            calibrated: ``False`` leaves the head's calibration out of the inductive setting.
            background: what is none of the classes, see :class:`ReadOut`.
            images: ``(B, 3, H, W)``: the maps are refined along their edges.

        Raises:
            InputError: there is a background, and a class has the label that it would get.
        """
        head, classes = self.decode_head, self.vocabulary.classes
        if background and len(classes) > IGNORE_INDEX and background_id(classes) is None:
            raise InputError(
                f"{len(classes)} classes and a background: label {IGNORE_INDEX} would be both, "
                f"so take at most {IGNORE_INDEX} classes, or a class called background"
            )
        seen = self._seen = self._seen.to(self.clip_fingerprint.device)  # once
        calibrated = calibrated and self.vocabulary.is_calibrated
        read_out = ReadOut(head, self.vocabulary, seen if calibrated else None, background)
        groups = (
            (boxes, head(patches, cls, self.class_embeddings(read_out.queries)))
            for boxes, patches, cls in windows
        )
        cell = self.image_encoder.patch_size
        return predictions_of_images(groups, size, cell, read_out, head.averages_logits, images)

    def extract_feat(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Patch embeddings ``(B, D, h, w)`` and CLS embedding ``(B, D)``."""
        return self.image_encoder(inputs)

    def _forward(
        self, inputs: Tensor, data_samples: Sequence[SegDataSample] | None = None
    ) -> HeadOutput:
        return self.decode_head(*self.image_encoder(inputs), self.class_embeddings())

    # --- report -----------------------------------------------------------------------------

    def protocol(self) -> dict[str, Any]:
        """The model's choices that a reported number depends on."""
        preprocessor = self.data_preprocessor
        transductive = self.vocabulary.setting == "transductive"
        statistics = {key: getattr(preprocessor, key, None) for key in ("mean", "std")}
        test_cfg = self.test_cfg
        inference = {key: test_cfg[key] for key in ("mode", "crop_size", "stride")}
        optional = ("background", "refine")
        inference |= {key: test_cfg[key] for key in optional if test_cfg[key] is not None}
        return {
            "clip": dict(self.clip_source),
            **({"fixed_settings": self._active_settings} if self._active_settings else {}),
            **self.text_encoder.protocol(),
            "normalisation": {
                "rgb": bool(getattr(preprocessor, "channel_conversion", False)),
                **{k: None if v is None else v.flatten().tolist() for k, v in statistics.items()},
            },
            "inference": inference,
            **self.image_encoder.protocol(),
            **({"pseudo_labels": self.pseudo_labels} if transductive else {}),
            **self.decode_head.protocol(self.vocabulary.setting == "inductive"),
        }
