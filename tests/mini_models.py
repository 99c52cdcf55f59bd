"""The mini benchmark's models of all methods, as they start, and a few of its scenes."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS, MODELS

from zegclip.engine.config_files import find_config
from zegclip.segmentors import ZeroShotSegmentor

METHODS = ("zegclip", "tagclip", "ldvc")
SETTINGS = ("inductive", "transductive", "transductive-all-unlabelled", "supervised")


@cache
def build(method: str, setting: str = "inductive") -> ZeroShotSegmentor:
    """In evaluation mode; one for the whole process."""
    init_default_scope("mmseg")
    torch.manual_seed(0)
    model = MODELS.build(Config.fromfile(find_config(f"{method}_mini_{setting}")).model)
    model.init_weights()
    return model.eval()


def scenes_of(folder: Path, split: str, number: int, setting: str = "inductive") -> Any:
    """The data set of the ``train`` or ``test`` loader, cut to a number of scenes."""
    init_default_scope("mmseg")
    cfg = Config.fromfile(find_config(f"zegclip_mini_{setting}"))[f"{split}_dataloader"].dataset
    return DATASETS.build({**cfg, "number": number, "data_root": str(folder)})


def close(found: torch.Tensor, expected: torch.Tensor, tolerance: float) -> bool:
    """Whether the difference is that small a share of what is expected; devices may differ."""
    assert found.isfinite().all()
    difference = found.double().cpu() - expected.double().cpu()
    return bool(difference.norm() <= tolerance * expected.double().cpu().norm())
