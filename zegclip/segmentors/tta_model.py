"""Test-time augmentation: the mean over flips and sizes of an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmengine.structures import PixelData
from mmseg.models.segmentors import SegTTAModel
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from zegclip.vocabulary import IGNORE_INDEX


@MODELS.register_module()
class ZeroShotTTAModel(SegTTAModel):
    """mmseg's ``SegTTAModel`` for probabilities: its softmax is for logits.

    Args:
        module: the :class:`~zegclip.segmentors.ZeroShotSegmentor`, or its config.
        data_preprocessor: mmengine's.

    Example:
        >>> # python tools/test.py CONFIG CHECKPOINT --tta
        >>> tta_model = dict(type="ZeroShotTTAModel")  # and tta_pipeline, in the config
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.module.test_cfg["keep_probabilities"] = True

    def merge_preds(
        self, data_samples_list: Sequence[Sequence[SegDataSample]]
    ) -> list[SegDataSample]:
        """Average class probabilities and extra maps over the versions of each image."""
        merged = []
        for first, *others in data_samples_list:
            for name, value in list(first.items()):
                if isinstance(value, PixelData) and not name.startswith(("gt_", "pred_")):
                    total = value.data.clone()
                    for sample in others:
                        total += sample.get(name).data
                    first.set_data({name: PixelData(data=total.div_(1 + len(others)))})
            labels = first.seg_logits.data.argmax(dim=0, keepdim=True)
            # The map after the classes' is that of none of them.
            labels[labels == len(self.module.vocabulary.classes)] = IGNORE_INDEX
            first.set_data({"pred_sem_seg": PixelData(data=labels)})
            merged.append(first)
        return merged
