"""Which steps an image goes through outside of mmengine's runner."""

from __future__ import annotations

import pytest
from mmengine.config import Config

from zegclip.apis.preprocessing import image_steps
from zegclip.errors import InputError

READ, PACK = {"type": "LoadImageFromFile"}, {"type": "PackZeroShotInputs"}


def pipeline(side: int) -> list[dict[str, object]]:
    return [READ, {"type": "ResizeShortestEdge", "scale": side}, PACK]


def test_steps_of_joined_data_sets() -> None:
    """Their own, not those of the base config that nothing uses any more."""
    parts = [{"type": "ZeroShotDataset", "pipeline": pipeline(336)} for _ in range(2)]
    joined = {"type": "ConcatDataset", "datasets": parts}
    cfg = Config({"test_dataloader": {"dataset": joined}, "test_pipeline": pipeline(512)})
    assert image_steps(cfg) == pipeline(336)[1:2]
    parts[1]["pipeline"] = pipeline(640)
    cfg = Config({"test_dataloader": {"dataset": joined}})
    with pytest.raises(InputError, match="different pipelines"):
        image_steps(cfg)
