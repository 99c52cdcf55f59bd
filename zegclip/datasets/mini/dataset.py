"""The mini benchmark as a data set of mmseg."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmseg.registry import DATASETS

from zegclip.files import find_path

from ..voc import VOC20Dataset
from .scenes import SCENES, make_scenes


@DATASETS.register_module()
class MiniSceneDataset(VOC20Dataset):
    """VOC's classes and split on scenes of emoji, which are drawn on first use (seconds).

    Everything else is :class:`VOC20Dataset`'s: the scenes lie in the devkit's layout, with
    ``ImageSets/Segmentation/{train,val}.txt``.

    Args:
        data_root: where the scenes are or will be; default ``data/mini/scenes``.
        num_train: training scenes.
        num_val: validation scenes; some of their drawings are in no training scene.
        seed: of the scenes.
        **kwargs: :class:`VOC20Dataset`'s.
    """

    METAINFO = VOC20Dataset.METAINFO | {"dataset_name": "mini benchmark (VOC's 20 classes, drawn)"}

    def __init__(
        self,
        data_root: str | Path | None = None,
        num_train: int = 2000,
        num_val: int = 300,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        root = make_scenes(find_path(data_root or SCENES), num_train, num_val, seed)
        super().__init__(data_root=str(root), **kwargs)
