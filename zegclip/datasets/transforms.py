"""From a label file to what training may know of it."""

from __future__ import annotations

import io
from typing import Any

import mmengine.fileio as fileio
import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.structures import PixelData
from mmseg.datasets.transforms import LoadAnnotations, PackSegInputs
from mmseg.registry import TRANSFORMS
from PIL import Image, UnidentifiedImageError

from zegclip.errors import InputError

from .label_checks import IGNORE_INDEX, check_label_map


@TRANSFORMS.register_module()
class LoadCheckedAnnotations(LoadAnnotations):
    """mmseg's ``LoadAnnotations``, which refuses label files that would be misread.

    mmseg's takes an RGB mask as it is, keeps labels outside the classes, and folds 16-bit labels
    into 8 bits. Here each is an error that names the file. Palette PNGs are read as indices.

    Samples without ``seg_map_path`` (a photograph given to mmseg's ``inference_model``) pass
    unchanged.

    Args:
        backend_args: mmseg's.

    Raises:
        InputError: see :func:`~zegclip.datasets.label_checks.check_label_map`.
    """

    def __init__(self, backend_args: dict | None = None) -> None:
        super().__init__(backend_args=backend_args)

    def transform(self, results: dict) -> dict:
        """Add ``gt_seg_map``, (H, W) uint8: label ids, 255 = ignored."""
        return super().transform(results) if "seg_map_path" in results else results

    def _load_seg_map(self, results: dict) -> None:
        file = results["seg_map_path"]
        _require(results, "num_classes", self)
        label = _read_indices(fileio.get(file, backend_args=self.backend_args), file)
        reduce_zero_label = bool(results.get("reduce_zero_label"))
        check_label_map(
            label, results["num_classes"], file, reduce_zero_label, results.get("ori_shape")
        )
        table = np.arange(256, dtype=np.uint8)
        if reduce_zero_label:
            table = np.concatenate([[IGNORE_INDEX], table[:-2], [IGNORE_INDEX]]).astype(np.uint8)
        if results.get("label_map") is not None:  # a selection of the data set's classes
            selected = np.arange(256, dtype=np.uint8)
            for old_id, new_id in results["label_map"].items():
                selected[old_id] = new_id
            table = selected[table]
        results["gt_seg_map"] = table[label]
        results["seg_fields"].append("gt_seg_map")

    def __repr__(self) -> str:
        return f"{type(self).__name__}(backend_args={self.backend_args})"


@TRANSFORMS.register_module()
class HideUnseenLabels(BaseTransform):
    """Ignore the pixels of unseen classes, unless the setting is supervised.

    Belongs directly after loading, before any augmentation. Later it would be too late:
    ``RandomCrop(cat_max_ratio=...)`` chooses the crop by the classes in it, so that unseen labels
    would decide what training looks at. (Crops therefore count seen classes alone.)

    Where unseen pixels are (not which class they are) is kept as ``gt_unseen_map``, a further
    segmentation field which crops, flips and sizes as the labels do, in the transductive setting,
    whose self-training labels exactly these pixels, and on request.

    Args:
        keep_unseen_map: keep it in the inductive setting as well. It shows training where unseen
            objects are; only TagCLIP's ``trusty_target='unseen_gt'`` (the published code's) asks
            for that.
    """

    def __init__(self, keep_unseen_map: bool = False) -> None:
        self.keep_unseen_map = keep_unseen_map

    def transform(self, results: dict) -> dict:
        """Change ``gt_seg_map`` (H, W); maybe add ``gt_unseen_map``, (H, W) uint8 of 0 and 1."""
        for key in ("unseen_label_ids", "setting"):
            _require(results, key, self)
        is_unseen = np.zeros(256, dtype=np.uint8)
        is_unseen[list(results["unseen_label_ids"])] = 1
        label = results["gt_seg_map"]
        if self.keep_unseen_map or results["setting"] == "transductive":
            results["gt_unseen_map"] = is_unseen[label]
            results["seg_fields"].append("gt_unseen_map")
        if results["setting"] != "supervised":
            table = np.arange(256, dtype=np.uint8)
            table[is_unseen == 1] = IGNORE_INDEX
            results["gt_seg_map"] = table[label]
        return results

    def __repr__(self) -> str:
        return f"{type(self).__name__}(keep_unseen_map={self.keep_unseen_map})"


@TRANSFORMS.register_module()
class PackZeroShotInputs(PackSegInputs):
    """mmseg's ``PackSegInputs``, which also packs ``gt_unseen_map`` where there is one.

    The sample's meta keys stay mmseg's: nothing in them says which classes are unseen.
    """

    def transform(self, results: dict) -> dict:
        """Add ``data_samples.gt_unseen_map``, (1, H, W) uint8."""
        packed = super().transform(results)
        unseen = results.get("gt_unseen_map")
        if unseen is not None:
            if unseen.shape != results["gt_seg_map"].shape:
                raise InputError(
                    f"{results.get('seg_map_path')}: gt_unseen_map is {unseen.shape}, the labels "
                    f"{results['gt_seg_map'].shape}: a transform changes gt_seg_map without the "
                    "other seg_fields (mmcv's Pad does; pad in the data preprocessor instead)"
                )
            data = torch.from_numpy(np.ascontiguousarray(unseen))[None]
            packed["data_samples"].set_data({"gt_unseen_map": PixelData(data=data)})
        return packed


def _read_indices(content: bytes, file: str) -> np.ndarray:
    """The numbers in an image file: a palette PNG's indices, not its colours."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            label = np.array(image)
    except UnidentifiedImageError:  # whose text has only an address in memory
        raise InputError(f"{file}: not a readable image (broken or cut short?)") from None
    except (OSError, SyntaxError) as error:
        raise InputError(f"{file}: not a readable image (broken or cut short?): {error}") from error
    return label.astype(np.uint8) if label.dtype == bool else label


def _require(results: dict[str, Any], key: str, transform: BaseTransform) -> None:
    if key not in results:
        raise KeyError(
            f"{type(transform).__name__} needs results[{key!r}], which a ZeroShotDataset gives: "
            "use it, or a class derived from it, as the data set's type"
        )
