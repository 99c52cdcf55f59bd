"""Bring data sets from their official archives into mmsegmentation's layout, and verify them."""

from __future__ import annotations

import zegclip  # noqa: F401  (first: it makes mmseg importable)

from . import ade, coco_stuff, context, voc
from .data_set import DataSet

DATA_SETS: dict[str, DataSet] = {
    module.DATA_SET.key: module.DATA_SET for module in (voc, coco_stuff, context, ade)
}
