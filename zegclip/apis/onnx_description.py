"""What an exported model must be used with: the metadata of its file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from zegclip.errors import InputError
from zegclip.segmentors.sliding_window import checked_test_cfg

METADATA_KEY, VERSION = "zegclip", 2
# Steps of a test pipeline that a file may ask for. Any other name from a file could build anything.
STEPS = ("Resize", "ResizeShortestEdge")


@dataclass(frozen=True)
class ModelDescription:
    """How images and words become a model's inputs; JSON in the file, nothing in it is run."""

    config: str  # name of the config, for people
    patch_size: int  # pixels; an image's sides are multiples of it
    mean: list[float]  # of the channels, RGB, 0..255; subtracted
    std: list[float]  # divided by
    size: list[int]  # (H, W) of the training crops
    resize: list[dict[str, Any]]  # steps of the test pipeline that change the size
    test_cfg: dict[str, Any]  # windows, as the segmentor takes it
    calibration: dict[str, Any]  # what the graph does if ``inductive``, for people
    templates: list[str]  # into which words were put
    clip: dict[str, str]  # model name, weights and fingerprint
    text_fingerprint: str  # see zegclip.apis.class_words
    vocabulary: dict[str, Any] | None = None  # metainfo of the training, if it is known

    def __post_init__(self) -> None:
        if unknown := [step["type"] for step in self.resize if step["type"] not in STEPS]:
            raise InputError(f"test_pipeline: {unknown[0]} cannot be in a file, only {STEPS}")
        if len(self.mean) != 3 or len(self.std) != 3 or self.patch_size < 1:
            raise InputError("mean and std must have three numbers, and patch_size be at least 1")
        object.__setattr__(self, "test_cfg", checked_test_cfg(self.test_cfg, self.patch_size))

    def to_json(self) -> str:
        """For the file; read by :meth:`from_metadata`."""
        return json.dumps({"version": VERSION, **asdict(self)})

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str], name: str) -> ModelDescription:
        """Read what :meth:`to_json` wrote; the file may be anybody's.

        Args:
            metadata: of an ONNX file, its own texts by key.
            name: of the file, for messages.

        Raises:
            InputError: it is not there, or not of this form.
        """
        if METADATA_KEY not in metadata:
            raise InputError(f"{name} was not written by tools/export_onnx.py: it has no metadata")
        try:
            content = json.loads(metadata[METADATA_KEY])
            if content.pop("version") != VERSION:
                raise InputError(f"it is not of version {VERSION}: export the model again")
            return cls(**content)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"{name}: its metadata cannot be used: {error}") from error
