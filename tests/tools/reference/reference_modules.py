"""Feed a reference archive's inputs through the usual test path: registered for the tests alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.hooks import Hook
from mmseg.registry import HOOKS, MODELS, TRANSFORMS
from torch import Tensor

from zegclip.clip import TextEncoder
from zegclip.vocabulary import Vocabulary


@MODELS.register_module()
class ReferenceTextEncoder(TextEncoder):
    """Embeds the archive's token ids, which no words make."""

    def __init__(self, archive: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        with np.load(archive) as arrays:
            self._reference_tokens = torch.from_numpy(arrays["in.tokens"])

    @torch.no_grad()
    def forward(self, vocabulary: Vocabulary) -> Tensor:
        return self.tower(self._reference_tokens)


@TRANSFORMS.register_module()
class LoadReferenceImage(BaseTransform):
    """The archive's image of the index that the file is named after; normalised already."""

    def __init__(self, archive: str) -> None:
        with np.load(archive) as arrays:
            self.images = arrays["in.image"]

    def transform(self, results: dict) -> dict:
        image = self.images[int(Path(results["img_path"]).stem)]
        results["img"] = np.ascontiguousarray(image.transpose(1, 2, 0))
        results["img_shape"] = results["ori_shape"] = image.shape[1:]
        return results


@HOOKS.register_module()
class SaveProbabilitiesHook(Hook):
    """Writes each image's probabilities, (C, H, W)."""

    def __init__(self, out_dir: str) -> None:
        self.out_dir = Path(out_dir)

    def after_test_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Sequence[Any] = ()
    ) -> None:
        self.out_dir.mkdir(parents=True, exist_ok=True)
        for sample in outputs:
            path = self.out_dir / f"{Path(sample.img_path).stem}.npy"
            np.save(path, sample.seg_logits.data.numpy())
