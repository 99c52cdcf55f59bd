"""From a label file to what training may know of it."""

from __future__ import annotations

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.structures import PixelData
from mmseg.datasets.transforms import PackSegInputs
from mmseg.registry import TRANSFORMS

from zegclip.errors import InputError
from zegclip.vocabulary import IGNORE_INDEX

from .masks import read_labels


@TRANSFORMS.register_module()
class LoadCheckedAnnotations(BaseTransform):
    """As mmseg's ``LoadAnnotations``, but label files that would be misread are refused.

    mmseg's takes an RGB mask as it is, keeps labels outside the classes, and folds 16-bit labels
    into 8 bits. Here each is an error that names the file. Palette PNGs are read as indices.
    Samples without ``seg_map_path`` (given to mmseg's ``inference_model``) pass unchanged.

    Example:
        ``[dict(type="LoadImageFromFile"), dict(type="LoadCheckedAnnotations"), ...]``
    """

    def transform(self, results: dict) -> dict:
        """Add ``gt_seg_map``, (H, W) uint8: label ids, 255 = ignored.

        Raises:
            InputError: see :func:`~zegclip.datasets.masks.read_labels`.
        """
        if "seg_map_path" in results:
            if "num_classes" not in results:
                raise InputError(
                    "LoadCheckedAnnotations needs results['num_classes']: use ZeroShotDataset, or "
                    "a class derived from it, as the data set's type"
                )
            shape = results.get("ori_shape")
            results["gt_seg_map"] = read_labels(results, shape and (shape[0], shape[1]))
            results["seg_fields"].append("gt_seg_map")
        return results


@TRANSFORMS.register_module()
class HideUnseenLabels(BaseTransform):
    """Ignore the pixels of unseen classes, unless the setting is supervised.

    Belongs directly after loading: ``RandomCrop(cat_max_ratio=...)`` looks at the labels, and
    would otherwise choose crops by unseen ones.

    In the transductive setting, whose self-training may label exactly these pixels, and on request
    ``gt_unseen_map`` keeps where unseen pixels are (not which class they are), a further
    segmentation field that transforms change as the labels.

    Args:
        keep_unseen_map: keep it in the inductive setting as well. It shows training where unseen
            objects are: only for a loss that is known to ask for that.

    Example:
        ``[..., dict(type="LoadCheckedAnnotations"), dict(type="HideUnseenLabels"), ...]``
    """

    def __init__(self, keep_unseen_map: bool = False) -> None:
        self.keep_unseen_map = keep_unseen_map

    def transform(self, results: dict) -> dict:
        """Change ``gt_seg_map`` (H, W); maybe add ``gt_unseen_map``, (H, W) uint8 of 0 and 1."""
        labels = results["gt_seg_map"]
        unseen = np.isin(labels, results["unseen_label_ids"])
        if self.keep_unseen_map or results["setting"] == "transductive":
            results["gt_unseen_map"] = unseen.astype(np.uint8)
            results["seg_fields"].append("gt_unseen_map")
        if results["setting"] != "supervised":
            results["gt_seg_map"] = np.where(unseen, np.uint8(IGNORE_INDEX), labels)
        return results


@TRANSFORMS.register_module()
class PackZeroShotInputs(PackSegInputs):
    """mmseg's ``PackSegInputs`` with 8-bit labels, and with ``gt_unseen_map`` where there is one.

    mmseg packs 64 bits a label, three quarters of what a data worker sends to the training. Its own
    heads need them: for those take ``PackSegInputs``.

    Example:
        ``[..., dict(type="RandomFlip", prob=0.5), dict(type="PackZeroShotInputs")]``
    """

    def transform(self, results: dict) -> dict:
        """mmseg's ``inputs``, and ``data_samples`` with maps (1, H, W) uint8.

        Raises:
            InputError: a transform changed the labels and not the unseen map, or the reverse.
        """
        results = dict(results)
        labels, unseen = results.pop("gt_seg_map", None), results.get("gt_unseen_map")
        packed = super().transform(results)
        if unseen is not None and unseen.shape != labels.shape:
            raise InputError(
                f"{results.get('seg_map_path')}: gt_unseen_map is {unseen.shape}, the labels "
                f"{labels.shape}: a transform (mmcv's Pad does) changes gt_seg_map alone; pad in "
                "the data preprocessor instead"
            )
        if unseen is not None and results["setting"] != "supervised":
            if (labels[unseen == 1] != IGNORE_INDEX).any():
                raise InputError(
                    f"{results.get('seg_map_path')}: gt_unseen_map marks pixels with the label of "
                    "a seen class: a transform turns or cuts gt_seg_map alone (Albu does without "
                    "additional_targets=dict(gt_unseen_map='mask'))"
                )
        for name, pixels in (("gt_sem_seg", labels), ("gt_unseen_map", unseen)):
            if pixels is not None:
                data = torch.from_numpy(np.ascontiguousarray(pixels))[None]
                packed["data_samples"].set_data({name: PixelData(data=data)})
        return packed
