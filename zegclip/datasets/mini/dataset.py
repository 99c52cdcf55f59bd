"""The mini benchmark as a data set of mmseg."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmseg.registry import DATASETS

from zegclip.files import find_path

from ..benchmarks import VOC20Dataset
from .scenes import make_scenes


@DATASETS.register_module()
class MiniSceneDataset(VOC20Dataset):
    """VOC's classes and split on scenes of emoji, which are drawn on first use (seconds).

    Args:
        split: ``train``, ``selection`` (to choose settings on) or ``test`` (for tables). What one
            shows no other does, so that no setting is chosen on the drawings of a table.
        number: of scenes; default: 2000, 300 and 300.
        seed: of the scenes.
        data_root: the folder that the scenes' folders are made in; default ``data/mini/scenes``,
            or the user's cache folder (see :func:`~zegclip.datasets.mini.scenes.scenes_root`).
        **kwargs: :class:`~zegclip.datasets.benchmarks.VOC20Dataset`'s, but for where files lie.

    Example:
        >>> len(MiniSceneDataset(split="selection", number=20))  # doctest: +SKIP
        20
    """

    METAINFO = VOC20Dataset.METAINFO | {
        "dataset_name": "mini benchmark (VOC's 20 classes, drawn)",
        # The words of the captions that its CLIP was trained on.
        "synonyms": {
            "diningtable": ("dining table",),
            "pottedplant": ("potted plant",),
            "tvmonitor": ("tv monitor",),
        },
    }

    def __init__(
        self,
        split: str = "train",
        number: int | None = None,
        seed: int = 0,
        data_root: str | Path | None = None,
        **kwargs: Any,
    ) -> None:
        folder = make_scenes(split, number, seed, data_root and find_path(data_root))
        name = self.METAINFO["dataset_name"]
        if split != "test" or seed:  # what a report must say
            name += f", {split} scenes of seed {seed}"
        kwargs["metainfo"] = {"dataset_name": name} | dict(kwargs.get("metainfo") or {})
        super().__init__(
            data_root=str(folder),
            data_prefix={"img_path": "JPEGImages", "seg_map_path": "SegmentationClass"},
            **kwargs,
        )

    @classmethod
    def missing(cls, config: Mapping[str, Any]) -> list[str]:
        """Nothing: the scenes are drawn when they are needed."""
        return []
