"""What an exported model must be used with, in the file's own metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from mmengine.config import Config

from zegclip.errors import InputError
from zegclip.segmentors import ZeroShotSegmentor
from zegclip.segmentors.zero_shot_segmentor import checked_test_cfg
from zegclip.vocabulary import Vocabulary

from .class_words import text_fingerprint

METADATA_KEY = "zegclip"
VERSION = 1
# Steps of a test pipeline that a file may ask for. Any other name from a file could build anything.
STEPS = ("Resize", "ResizeShortestEdge")


@dataclass(frozen=True)
class ModelDescription:
    """How images and words become a model's inputs, and what is done with its outputs.

    Attributes:
        config: name of the config, for people.
        patch_size: pixels; an image's sides are multiples of it.
        embed_dims: D of the class embeddings.
        mean: of the three channels, RGB, 0..255; subtracted.
        std: of the three channels; divided by.
        size: (H, W) of the training crops.
        resize: steps of the test pipeline that change the size, mmseg's names and arguments.
        test_cfg: windows, as the segmentor takes it.
        gamma: subtracted from seen classes in the inductive setting.
        trusty_weighting: with the trusty map in the inductive setting, ``"none"`` without one.
        templates: into which words were put.
        clip: model name, weights and fingerprint.
        text_fingerprint: of all that class embeddings depend on
            (:func:`~zegclip.export.class_words.text_fingerprint`).
        vocabulary: classes, unseen, synonyms and setting of the training, if it is known.
    """

    config: str
    patch_size: int
    embed_dims: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    size: tuple[int, int]
    resize: tuple[dict[str, Any], ...]
    test_cfg: dict[str, Any]
    gamma: float
    trusty_weighting: str
    templates: tuple[str, ...]
    clip: dict[str, str]
    text_fingerprint: str
    vocabulary: dict[str, Any] | None = None

    def to_json(self) -> str:
        """For the file; read by :func:`read_description`."""
        return json.dumps({"version": VERSION, **asdict(self)})

    def to_config(self) -> Config:
        """The part of a config that preparing an image looks at."""
        return Config(
            dict(
                model=dict(data_preprocessor=self.data_preprocessor()),
                test_pipeline=[dict(step) for step in self.resize],
            )
        )

    def data_preprocessor(self) -> dict[str, Any]:
        """Config of mmseg's ``SegDataPreProcessor``; it gets BGR."""
        return dict(
            type="SegDataPreProcessor",
            mean=list(self.mean),
            std=list(self.std),
            bgr_to_rgb=True,
            size=tuple(self.size),
        )

    def own_vocabulary(self) -> Vocabulary | None:
        """The classes, split and setting of the training, if they are known."""
        return None if self.vocabulary is None else Vocabulary.from_metainfo(self.vocabulary)


def describe(cfg: Config, model: ZeroShotSegmentor) -> ModelDescription:
    """What the file of a model is to say.

    Args:
        cfg: the complete config that the model was built from.
        model: with its checkpoint.

    Raises:
        InputError: the config prepares images in a way that a file cannot carry.
    """
    from zegclip.apis.preprocessing import image_steps  # (apis imports this package)

    steps = image_steps(cfg)
    if unknown := [step["type"] for step in steps if step["type"] not in STEPS]:
        raise InputError(
            f"test_pipeline: {unknown[0]} cannot be carried by the file, only {' and '.join(STEPS)}"
        )
    preprocessor = cfg.model.get("data_preprocessor") or {}
    if preprocessor.get("test_cfg") or not preprocessor.get("bgr_to_rgb"):
        raise InputError(
            "model.data_preprocessor: only mean, std and size with bgr_to_rgb=True can be carried "
            "by the file"
        )
    protocol = model.decode_head.protocol(inductive=True)
    meta = model.dataset_meta
    vocabulary = Vocabulary.from_metainfo(meta) if meta else None
    description = ModelDescription(
        config=str(cfg.filename or "").rpartition("/")[2],
        patch_size=model.image_encoder.patch_size,
        embed_dims=model.image_encoder.embed_dims,
        mean=tuple(preprocessor["mean"]),
        std=tuple(preprocessor["std"]),
        size=tuple(preprocessor.get("size") or (512, 512)),
        resize=tuple(Config(dict(steps=steps)).to_dict()["steps"]),
        test_cfg=dict(model.test_cfg),
        gamma=float(protocol["gamma"]),
        trusty_weighting=str(protocol["trusty_weighting"]),
        templates=tuple(model.text_encoder.templates),
        clip={**model.clip_source, "fingerprint": bytes(model.clip_fingerprint.cpu()).hex()},
        text_fingerprint=text_fingerprint(model),
        vocabulary=None
        if vocabulary is None
        else dict(
            classes=vocabulary.classes,
            unseen=vocabulary.unseen,
            synonyms=dict(vocabulary.synonyms),
            setting=vocabulary.setting,
        ),
    )
    return read_description({METADATA_KEY: description.to_json()}, "the config")


def read_description(metadata: Mapping[str, str], name: str) -> ModelDescription:
    """Read what :meth:`ModelDescription.to_json` wrote; the text may be a stranger's.

    Args:
        metadata: of an ONNX file, its own texts by key.
        name: of the file, for messages.

    Raises:
        InputError: it is not there, or not of this form.
    """
    text = metadata.get(METADATA_KEY)
    if text is None:
        raise InputError(f"{name} was not written by tools/export_onnx.py: it lacks its metadata")
    try:
        content = json.loads(text)
        version = content.pop("version")
        if version != VERSION:
            raise InputError(
                f"{name} has metadata of version {version}; this code reads {VERSION}: export again"
            )
        description = ModelDescription(**content)
        return _checked(description)
    except (KeyError, TypeError, ValueError, AttributeError, InputError) as error:
        raise InputError(f"{name}: its metadata cannot be read: {error}") from error


def _checked(found: ModelDescription) -> ModelDescription:
    """With the types of the class; ``ValueError`` or ``TypeError`` where they cannot be."""
    if any(step["type"] not in STEPS for step in found.resize):
        raise ValueError(f"resize may only hold {' and '.join(STEPS)}")
    patch_size, embed_dims = int(found.patch_size), int(found.embed_dims)
    if patch_size < 1 or embed_dims < 1:
        raise ValueError("patch_size and embed_dims must be at least 1")
    checked = ModelDescription(
        config=str(found.config),
        patch_size=patch_size,
        embed_dims=embed_dims,
        mean=_three(found.mean, "mean"),
        std=_three(found.std, "std"),
        size=(int(found.size[0]), int(found.size[1])),
        resize=tuple({str(key): value for key, value in step.items()} for step in found.resize),
        test_cfg=checked_test_cfg(found.test_cfg, patch_size),
        gamma=float(found.gamma),
        trusty_weighting=str(found.trusty_weighting),
        templates=tuple(map(str, found.templates)),
        clip={str(key): str(value) for key, value in found.clip.items()},
        text_fingerprint=str(found.text_fingerprint),
        vocabulary=found.vocabulary,
    )
    checked.own_vocabulary()
    return checked


def _three(values: Any, what: str) -> tuple[float, ...]:
    numbers = tuple(map(float, values))
    if len(numbers) != 3:
        raise ValueError(f"{what} must have three numbers")
    return numbers
