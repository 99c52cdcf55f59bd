"""tools/get_flops.py against the papers' numbers, on the real configs."""

from __future__ import annotations

import json
from pathlib import Path
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
        ("tagclip_voc_inductive", 20, 11.72, 11.72),
        ("tagclip_coco_inductive", 171, 12.55, 12.55),
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
    recorded = json.loads(get_flops.RESULTS.read_text())[config]
    assert found == recorded | {"gflops": pytest.approx(recorded["gflops"])}, (
        "run: python tools/get_flops.py --record"
    )


@pytest.mark.parametrize(
    ("config", "published", "percent"),
    [("zegclip_voc_inductive", 110.4, -0.14), ("zegclip_coco_inductive", 123.9, -0.39)],
)
def test_operations_are_the_papers_but_for_a_few_thousandths(
    config: str, published: float, percent: float
) -> None:
    """Recorded in docs/results/cost.json, which the test above compares with the model."""
    total = json.loads(get_flops.RESULTS.read_text())[config]["gflops"]["total"]
    assert round(100 * (total / published - 1), 2) == percent


def test_every_method_and_data_set_is_recorded() -> None:
    recorded = json.loads(get_flops.RESULTS.read_text())
    data = ("voc", "coco", "context")
    assert set(recorded) == {
        f"{method}_{name}_inductive" for method in ("zegclip", "tagclip", "ldvc") for name in data
    }


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


def test_the_table_shows_parts_and_the_file_is_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "new" / "cost.json"
    assert get_flops.main(["ldvc_mini_inductive", "--json", str(file)]) == 0
    shown = capsys.readouterr().out
    assert "ldvc_mini_inductive" in shown and "0.69 M" in shown and "head 0." in shown
    assert json.loads(file.read_text())["ldvc_mini_inductive"]["classes"] == 20
    assert [path.name for path in file.parent.iterdir()] == ["cost.json"]


def test_a_file_is_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "cost.json"
    file.write_text("mine")
    with pytest.raises(SystemExit):
        get_flops.main(["configs/zegclip_mini_inductive.py", "--json", str(file)])
    assert "say --force to overwrite" in capsys.readouterr().err
    assert file.read_text() == "mine"


def test_record_takes_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        get_flops.main(["--record", "configs/zegclip_voc_inductive.py"])
    assert "as they are" in capsys.readouterr().err
