"""From pixels to the model's input, as the config's test pipeline says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmseg.registry import TRANSFORMS
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from zegclip.datasets.from_config import iter_datasets
from zegclip.errors import InputError

# What reads files and labels, and what packs both: here the pixels are given.
_NOT_OF_THE_IMAGE = ("Load", "Pack", "HideUnseenLabels")
# Steps of a test pipeline that a file may ask for, and their words: with any other ("_scope_",
# another type) a file could import and build anything.
STEPS = ("Resize", "ResizeShortestEdge")
_STEP_WORDS = {"type", "scale", "scale_factor", "keep_ratio", "max_size", "interpolation"}
# And up to which numbers: an image's time and memory grow with their square.
_LARGEST = {"scale": 4096, "scale_factor": 1, "max_size": 2**16}
# A window's time and memory grow with the square of its tokens (4096: 64x64 patches).
MAX_TOKENS = 4096
# To which the steps may enlarge a photograph, pixels. Twice a panorama of 8:1 whose shorter side is
# 512; a picture of 1280x6 would become 65493x307.
MAX_ENLARGED = 2**22


def image_steps(cfg: Config) -> list[dict[str, Any]]:
    """The steps of a config's test pipeline between reading and packing.

    Raises:
        InputError: the data sets of a test are joined, and have different ones.
    """
    datasets = iter_datasets((cfg.get("test_dataloader") or {}).get("dataset"))
    found = [each["pipeline"] for each in datasets if each.get("pipeline")]
    found = [
        [step for step in pipeline if not step["type"].startswith(_NOT_OF_THE_IMAGE)]
        for pipeline in found or [cfg.get("test_pipeline") or []]
    ]
    if any(steps != found[0] for steps in found):
        raise InputError(
            "the test's data sets have different pipelines: name a config with one of them"
        )
    return found[0]


def check_steps(steps: Iterable[Mapping[str, Any]]) -> None:
    """``InputError`` if a file cannot ask for one of the steps."""
    for step in steps:
        if step["type"] not in STEPS or not set(step) <= _STEP_WORDS:
            raise InputError(f"test_pipeline: {dict(step)} cannot be in a file, only {STEPS}")
        for key, largest in _LARGEST.items():
            asked = () if (found := step.get(key)) is None else found
            numbers = asked if isinstance(asked, (list, tuple)) else (asked,)
            if not all(0 < number <= largest for number in numbers):
                raise InputError(
                    f"test_pipeline: {key}={found} cannot be in a file, only up to {largest}"
                )


class Preprocessor:
    """The image steps of a test pipeline, then the model's data preprocessor.

    For photographs of any size: what the steps enlarge very much is shrunk again.

    Args:
        steps: from :func:`image_steps`, in practice mmseg's ``ResizeShortestEdge`` or ``Resize``,
            or none.
        data_preprocessor: the model's; normalises.
        test_cfg: the model's, complete.
        patch_size: the model's, pixels.
    """

    def __init__(
        self,
        steps: Sequence[Mapping[str, Any]],
        data_preprocessor: nn.Module,
        test_cfg: Mapping[str, Any],
        patch_size: int,
    ) -> None:
        self._data_preprocessor = data_preprocessor
        self._test_cfg = test_cfg
        self._patch_size = patch_size
        self._own_side = min(getattr(data_preprocessor, "size", None) or (512, 512))
        self._transforms = [
            # (A file has lists, and mmcv takes tuples alone.)
            TRANSFORMS.build({k: tuple(v) if isinstance(v, list) else v for k, v in step.items()})
            for step in steps
        ]

    def __call__(self, image: np.ndarray) -> Tensor:
        """``(H, W, 3)`` uint8, RGB -> normalised ``(1, 3, h, w)`` float32 on the model's device."""
        size = image.shape[:2]
        bgr = np.ascontiguousarray(image[..., ::-1])  # as mmseg's images are
        results: Any = {"img": bgr, "img_shape": size, "ori_shape": size, "seg_fields": []}
        for transform in self._transforms:
            results = transform(results)
        pixels = self._fitting(results["img"], max(MAX_ENLARGED, size[0] * size[1]))
        inputs = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))
        data = {"inputs": [inputs], "data_samples": [SegDataSample()]}
        inputs = self._data_preprocessor(data, False)["inputs"]
        return inputs[..., : pixels.shape[0], : pixels.shape[1]]  # (without a padding for tests)

    def _fitting(self, pixels: np.ndarray, most: int) -> np.ndarray:
        """Shrink to so many pixels, and what a model that sees images whole cannot see (well).

        Where its config has no resizing step, a larger image goes to the size of the training
        crops (its shorter side). Measured on 40 mini scenes enlarged by 2 and by 4, right pixels
        with the mini model: 57 % and 21 % as they are, 69 % and 69 % shrunk to their own size.
        """
        height, width = pixels.shape[:2]
        scale = 1.0
        if self._test_cfg["mode"] == "whole":
            most = min(most, MAX_TOKENS * self._patch_size**2)
            if not self._transforms:
                scale = self._own_side / min(height, width)
        scale = min(1.0, scale, (most / (height * width)) ** 0.5)
        if scale == 1:
            return pixels
        new = max(1, round(width * scale)), max(1, round(height * scale))
        return cv2.resize(pixels, new, interpolation=cv2.INTER_AREA)
