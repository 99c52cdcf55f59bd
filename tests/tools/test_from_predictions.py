"""tools/test.py --from-predictions: what --out wrote gives the same numbers again."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.logging import MessageHub, MMLogger
from mmseg.visualization import SegLocalVisualizer
from PIL import Image

ROOT = Path(__file__).parents[2]
TOY = Path(__file__).parent / "toy"
NAMES = ["a", "b", "c"]


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three images of noise with three classes, of which one is unseen, and the toy model."""
    generator = np.random.default_rng(0)
    for name in ("images", "masks"):
        (tmp_path / "data" / name).mkdir(parents=True)
    for name in NAMES:
        image = generator.integers(0, 256, (8, 8, 3)).astype(np.uint8)
        mask = generator.choice([0, 1, 2, 255], (8, 8)).astype(np.uint8)
        Image.fromarray(image).save(tmp_path / "data/images" / f"{name}.jpg")
        Image.fromarray(mask).save(tmp_path / "data/masks" / f"{name}.png")
    path = tmp_path / "toy_zero_shot.py"
    path.write_text(
        f"_base_ = {str(TOY / 'toy_config.py')!r}\n"
        "model = dict(num_classes=3)\n"
        "custom_hooks = [dict(type='ReportHook')]\n"
        "test_dataloader = dict(dataset=dict(_delete_=True, type='ZeroShotDataset',\n"
        "    data_root='data', data_prefix=dict(img_path='images', seg_map_path='masks'),\n"
        "    metainfo=dict(classes=['x', 'y', 'z']), unseen=['z'], test_mode=True,\n"
        "    pipeline=[dict(type='LoadImageFromFile'), dict(type='LoadCheckedAnnotations'),\n"
        "              dict(type='PackZeroShotInputs')]))\n"
        "test_evaluator = dict(_delete_=True, type='ZeroShotIoUMetric')\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(TOY))
    return path


def run(monkeypatch: pytest.MonkeyPatch, *args: object) -> None:
    monkeypatch.setattr(sys, "argv", ["test.py", *map(str, args)])
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    for kept in (SegLocalVisualizer, MMLogger, MessageHub):  # by mmengine, while a process lives
        kept._instance_dict.clear()
    runpy.run_path(str(ROOT / "tools" / "test.py"), run_name="__main__")


def report(folder: str) -> dict:
    return json.loads((Path(folder) / "report.json").read_text())


def test_round_trip(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    weights = {"classify.weight": torch.randn(3, 3, 1, 1), "classify.bias": torch.randn(3)}
    torch.save({"state_dict": weights, "meta": {"seed": 5}}, "toy.pth")
    run(monkeypatch, config, "toy.pth", "--out", "pngs")
    ours = report("work_dirs/toy_zero_shot")
    # The checkpoint's; and nothing of the training data was looked for, which is not there.
    assert ours["protocol"]["seed"] == 5 and ours["protocol"]["max_iters"] is None

    # No model is made: its weights may be anywhere, its type unknown.
    no_model = ["--cfg-options", "model.type=Nothing", "model.clip.weights=nowhere.pt"]
    no_model += ["model.clip.model_name=ViT-B-16", "load_from=nowhere.pth"]
    capsys.readouterr()
    run(monkeypatch, config, "--from-predictions", "pngs", *no_model)
    output = capsys.readouterr()
    assert "mIoU(U)" in output.out + output.err
    theirs = report("work_dirs/toy_zero_shot_from_pngs")
    assert theirs["mIoU_U"] > 0 and len(theirs["per_class"]) == 3
    protocol, own = theirs.pop("protocol"), ours.pop("protocol")
    assert theirs == ours
    assert protocol["predictions"] == "pngs" and "checkpoint" not in protocol
    for key in ("dataset", "images", "unseen", "words", "ignore_rule", "setting"):
        assert protocol[key] == own[key]
    assert report("work_dirs/toy_zero_shot")["protocol"] == own  # the model's report stays


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["x.pth", "--from-predictions", "pngs"],
        ["--from-predictions", "pngs", "--out", "x"],
        ["--from-predictions", "pngs", "--launcher", "pytorch"],
    ],
)
def test_options_that_do_not_go_together(
    options: list[str], config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit) as stop:
        run(monkeypatch, config, *options)
    assert stop.value.code == 2
