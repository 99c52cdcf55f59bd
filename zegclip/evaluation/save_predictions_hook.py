"""Predicted label maps as files, for evaluation elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS
from mmseg.structures import SegDataSample
from PIL import Image

from zegclip.errors import InputError
from zegclip.vocabulary import IGNORE_INDEX


@HOOKS.register_module()
class SavePredictionsHook(Hook):
    """Write each test image's label map as a PNG named after the image.

    Pixel values are ids of the whole vocabulary (0..C-1, in the data set's class order), 16-bit
    where there are more than 255 classes: in 8 bits, 255 is no class.

    Args:
        out_dir: the folder; made if it does not exist.

    Example:
        ``custom_hooks = [dict(type="SavePredictionsHook", out_dir="pngs")]``
    """

    def __init__(self, out_dir: str) -> None:
        self.out_dir = Path(out_dir)
        self.dtype: type = np.uint8

    def before_test(self, runner: Runner) -> None:
        """Refuse images of one name in several folders: one map would replace the other."""
        dataset = runner.test_dataloader.dataset
        self.dtype = np.uint8 if len(dataset.metainfo["classes"]) <= IGNORE_INDEX else np.uint16
        owners: dict[str, str] = {}
        for index in range(len(dataset)):
            image = str(dataset.get_data_info(index)["img_path"])
            other = owners.setdefault(Path(image).stem, image)
            if other != image:
                raise InputError(
                    f"--out: {other} and {image} would both be {Path(image).stem}.png; test each "
                    "folder by itself (data_prefix.img_path)"
                )

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: Sequence[SegDataSample] | None = None,
    ) -> None:
        """Write the label maps of one batch."""
        self.out_dir.mkdir(parents=True, exist_ok=True)
        for sample in outputs or ():
            labels = sample.pred_sem_seg.data.squeeze(0).cpu().numpy()  # (H, W)
            name = Path(sample.img_path).stem
            Image.fromarray(labels.astype(self.dtype)).save(self.out_dir / f"{name}.png")
