"""tools/get_flops.py against the papers' numbers, on the real configs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tools import get_flops


def cost(config: str, capsys: pytest.CaptureFixture[str], *more: str) -> dict[str, Any]:
    assert get_flops.main([f"configs/{config}.py", "--json", "-", *more]) == 0
    return json.loads(capsys.readouterr().out)[config]


@pytest.mark.parametrize(
    ("config", "classes", "executed", "published"),
    [
        ("zegclip_voc_inductive", 20, 10.67, 13.8),
        ("zegclip_coco_inductive", 171, 11.50, 14.6),
        ("tagclip_voc_inductive", 20, 11.72, 11.7),
        ("tagclip_coco_inductive", 171, 12.55, 12.5),
    ],
)
def test_learnable_parameters(
    config: str,
    classes: int,
    executed: float,
    published: float,
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = cost(config, capsys)
    assert found["classes"] == classes
    assert round(found["learnable"]["total"] / 1e6, 2) == executed
    assert abs(found["learnable_as_published"] / 1e6 - published) <= 0.055
    assert found["learnable"]["text_encoder"] == 0


@pytest.mark.parametrize(
    ("config", "published"), [("zegclip_voc_inductive", 110.4), ("zegclip_coco_inductive", 123.9)]
)
def test_operations_are_the_papers_within_half_a_percent(
    config: str, published: float, capsys: pytest.CaptureFixture[str]
) -> None:
    """The fused attention of today's torch is counted too; without it a third is missing."""
    flops = cost(config, capsys)["gflops"]
    assert flops["total"] == pytest.approx(published, rel=5e-3)
    assert flops["total"] == flops["image_encoder"] + flops["decode_head"]


def test_a_learning_text_encoder_is_counted_by_itself(capsys: pytest.CaptureFixture[str]) -> None:
    found = cost("ldvc_mini_inductive", capsys)
    assert found["image"] == [96, 96] and found["learnable_as_published"] is None
    assert found["learnable"]["text_encoder"] > 0 and found["gflops"]["text_encoder"] > 0
    larger = cost("ldvc_mini_inductive", capsys, "--shape", "192", "96")
    assert larger["gflops"]["image_encoder"] > 2 * found["gflops"]["image_encoder"]
    assert larger["gflops"]["text_encoder"] == found["gflops"]["text_encoder"]


def test_options_change_the_model(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--cfg-options", "model.image_encoder.num_prompts=0"]
    found = cost("zegclip_mini_inductive", capsys, *options)
    assert found["learnable"]["image_encoder"] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["zegclip_mini_inductive", "--shape", "95", "96"], "multiples of 6"),
        (["no_such_config"], "no config 'no_such_config'"),
    ],
)
def test_messages(arguments: list[str], message: str) -> None:
    with pytest.raises(SystemExit, match=message):
        get_flops.main(arguments)


def test_record_takes_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        get_flops.main(["--record", "configs/zegclip_voc_inductive.py"])
    assert "as they are" in capsys.readouterr().err
