"""The metadata of an exported file: read as data, refused where it is not ours."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
from mmengine.config import Config

from zegclip.errors import InputError
from zegclip.export import describe, read_description
from zegclip.export.description import METADATA_KEY


def changed(export_method: Callable[[str], Any], **changes: Any) -> dict[str, str]:
    content = json.loads(export_method("tagclip").description.to_json())
    return {METADATA_KEY: json.dumps(content | changes)}


def test_round_trip(export_method: Callable[[str], Any]) -> None:
    description = export_method("tagclip").description
    assert read_description({METADATA_KEY: description.to_json()}, "x") == description
    vocabulary = description.own_vocabulary()
    assert len(vocabulary.classes) == 20 and len(vocabulary.unseen) == 5
    assert vocabulary.setting == "inductive"
    assert description.trusty_weighting == "both" and description.gamma == 0.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": 99}, "metadata of version 99"),
        ({"resize": [{"type": "LoadImageFromFile"}]}, "resize may only hold"),
        ({"mean": [1, 2]}, "mean must have three numbers"),
        ({"patch_size": 0}, "at least 1"),
        ({"test_cfg": {"mode": "slide"}}, "needs crop_size"),
        ({"vocabulary": {"classes": []}}, "classes is empty"),
        ({"more": 1}, "unexpected keyword argument 'more'"),
        ({"clip": 1}, "metadata cannot be read"),
    ],
)
def test_other_metadata_is_refused(
    export_method: Callable[[str], Any], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message) as error:
        read_description(changed(export_method, **changes), "some.onnx")
    assert str(error.value).startswith("some.onnx")


def test_a_file_of_somebody_else() -> None:
    with pytest.raises(InputError, match="some.onnx was not written by tools/export_onnx.py"):
        read_description({"other": "{}"}, "some.onnx")
    with pytest.raises(InputError, match="cannot be read"):
        read_description({METADATA_KEY: "[1, 2]"}, "some.onnx")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"test_dataloader.dataset.pipeline": [dict(type="RandomCrop")]}, "RandomCrop"),
        ({"model.data_preprocessor.test_cfg": dict(size_divisor=32)}, "data_preprocessor"),
    ],
)
def test_what_a_file_cannot_carry(
    export_method: Callable[[str], Any], options: dict[str, Any], message: str
) -> None:
    exported = export_method("tagclip")
    cfg = Config.fromfile(exported.config)
    cfg.merge_from_dict(options)
    with pytest.raises(InputError, match=message):
        describe(cfg, exported.model)


def test_photographs_keep_their_resize_rule(export_method: Callable[[str], Any]) -> None:
    exported = export_method("tagclip")
    cfg = Config.fromfile(exported.config)
    cfg.test_dataloader.dataset.pipeline = [
        dict(type="LoadImageFromFile"),
        dict(type="ResizeShortestEdge", scale=48, max_size=65536),
        dict(type="PackZeroShotInputs"),
    ]
    found = describe(cfg, exported.model)
    assert found.resize == ({"type": "ResizeShortestEdge", "scale": 48, "max_size": 65536},)
    again = read_description({METADATA_KEY: found.to_json()}, "x").to_config()
    assert again.test_pipeline[0]["scale"] == 48
    assert torch.equal(
        torch.tensor(found.mean), exported.model.data_preprocessor.mean.flatten().cpu()
    )
