"""The VOC configs in VOC's file layout, through tools/train.py, tools/test.py and mmseg's API.

A small, randomly initialised tower takes the place of ViT-B/16: what is tested is that everything
runs and that the report says what was done, not accuracy.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from mmseg.apis import inference_model, init_model
from PIL import Image

ROOT = Path(__file__).parents[2]
UNSEEN = ["pottedplant", "sheep", "sofa", "train", "tvmonitor"]


def write_config(folder: Path, voc: Path, method: str, tiny_clip_config: Path) -> Path:
    """``configs/METHOD_voc_inductive.py`` on a few images with a small tower of large patches."""
    tower = json.loads(tiny_clip_config.read_text())
    tower["vision_cfg"] |= {"patch_size": 32, "image_size": 64}
    (folder / "tower.json").write_text(json.dumps(tower))
    loader = (
        f"dict(batch_size={{}}, num_workers=0, persistent_workers=False,"
        f" dataset=dict(data_root={str(voc)!r}))"
    )
    config = folder / f"{method}_sample.py"
    config.write_text(
        f"_base_ = {str(ROOT / 'configs' / f'{method}_voc_inductive.py')!r}\n"
        f"model = dict(clip=dict(model_name={str(folder / 'tower.json')!r}, weights='random:0'),\n"
        "    image_encoder=dict(num_prompts=2),\n"
        "    decode_head=dict(decoder=dict(num_heads=4, feedforward_channels=32)))\n"
        f"train_dataloader = {loader.format(2)}\n"
        f"val_dataloader = test_dataloader = {loader.format(1)}\n"
        "train_cfg = dict(max_iters=2, val_interval=2)\n"
        "default_hooks = dict(checkpoint=dict(interval=2), logger=dict(interval=1))\n"
    )
    return config


def in_a_process(script: str, *arguments: object) -> None:
    """Run a tool in a process of its own; its output becomes this one's."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / script), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout[-3000:]


@pytest.mark.slow
@pytest.mark.parametrize("method", ["zegclip", "tagclip", "ldvc"])
@pytest.mark.parametrize("images", ["voc", "voc_photos"])
def test_train_test_and_mmsegs_inference(
    method: str,
    images: str,
    tmp_path: Path,
    tiny_clip_config: Path,
    request: pytest.FixtureRequest,
    run_tool: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = in_a_process if method == "tagclip" else run_tool  # (which is quicker)
    monkeypatch.chdir(tmp_path)
    voc: Path = request.getfixturevalue(images)
    config = write_config(tmp_path, voc, method, tiny_clip_config)
    work_dir = tmp_path / "run"
    run("train.py", config, "--work-dir", work_dir)
    said = capsys.readouterr()
    batch = "The effective batch is 2 (2 x 1 process(es) x 1 accumulated)"
    assert f"{batch}, but the learning rate was chosen for 16" in said.out + said.err
    checkpoint = work_dir / "iter_2.pth"
    state = torch.load(checkpoint, weights_only=True)["state_dict"]
    assert not any("visual" in name or "tower" in name for name in state)
    assert ("text_encoder.language_prompts" in state) == (method == "ldvc")

    trained = json.loads((work_dir / "report.json").read_text())["protocol"]
    (work_dir / "report.json").unlink()
    run("test.py", config, checkpoint, "--work-dir", work_dir)
    said = capsys.readouterr()
    output = said.out + said.err
    assert output.index("pAcc") < output.index("mIoU(S)") < output.index("mIoU(U)")
    report = json.loads((work_dir / "report.json").read_text())
    assert 0 <= report["pAcc"] <= 100 and report["per_class"]["person"]["split"] == "seen"
    assert {entry["split"] for entry in report["per_class"].values()} == {"seen", "unseen"}
    protocol = report["protocol"]
    assert protocol["unseen"] == UNSEEN and protocol["setting"] == "inductive"
    assert protocol["inference"]["mode"] == "slide" and protocol["gamma"] == 0.1
    assert protocol.get("trusty_weighting") == ("both" if method == "tagclip" else None)
    assert protocol["clip"]["weights"] == "random:0"
    for key in ("fingerprint", "training", "iteration", "max_iters"):
        assert protocol[key] == trained[key] is not None

    model = init_model(str(config), str(checkpoint), device="cpu")
    photo = min((voc / "JPEGImages").glob("*.jpg"))
    result = inference_model(model, str(photo))
    labels = result.pred_sem_seg.data[0].numpy()
    assert labels.shape == np.asarray(Image.open(photo)).shape[:2] and labels.max() < 20
    assert ("trusty_map" in result) == (method == "tagclip")


@pytest.mark.slow
def test_hooks_and_splits_of_ones_own(
    tmp_path: Path,
    voc: Path,
    tiny_clip_config: Path,
    run_tool: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A list of custom hooks takes none of ours away, and averaged weights are tested as saved."""
    monkeypatch.chdir(tmp_path)
    base = write_config(tmp_path, voc, "tagclip", tiny_clip_config)
    config = tmp_path / "mine.py"
    config.write_text(
        f"_base_ = {str(base)!r}\n"
        "unseen = ['person', 'train']\n"
        "train_dataloader = val_dataloader = test_dataloader = dict(dataset=dict(unseen=unseen))\n"
        "custom_hooks = [dict(type='EMAHook', momentum=0.5)]\n"
    )
    work_dir = tmp_path / "run"
    run_tool("train.py", config, "--work-dir", work_dir)
    validated = json.loads((work_dir / "report.json").read_text())
    assert validated["protocol"]["unseen"] == ["person", "train"]
    tested = tmp_path / "tested"
    run_tool("test.py", config, work_dir / "iter_2.pth", "--work-dir", tested)
    report = json.loads((tested / "report.json").read_text())
    assert report["per_class"] == validated["per_class"]
    assert report["per_class"]["person"]["split"] == "unseen"
    # Once more with other flips and sizes, and a split from the command line.
    options = ["--tta", "--unseen", "train", "person", "--work-dir", tested]
    run_tool("test.py", config, work_dir / "iter_2.pth", *options)
    augmented = json.loads((tested / "report.json").read_text())
    assert augmented["protocol"]["fingerprint"] != report["protocol"]["fingerprint"]
    assert augmented["per_class"] != report["per_class"]
