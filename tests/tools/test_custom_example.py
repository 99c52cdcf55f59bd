"""configs/custom_example.py on generated files: trained and tested as docs/own_data.md says."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
CLASSES = ["cat", "dog", "grass", "road", "sky"]


@pytest.fixture
def folder(tmp_path: Path, tiny_clip_config: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Photographs of several formats with masks; the example's config, copied and shrunk."""
    generator = np.random.default_rng(0)
    data = tmp_path / "data" / "custom"
    for split, suffixes in (("train", (".jpg", ".jpeg", ".png")), ("val", (".jpg",))):
        for kind in ("images", "masks"):
            (data / kind / split).mkdir(parents=True)
        for index, suffix in enumerate(suffixes):
            name = f"photo_{index}"
            picture = generator.integers(0, 255, (70, 90, 3), dtype=np.uint8)
            Image.fromarray(picture).save(data / "images" / split / f"{name}{suffix}")
            mask = np.repeat([0, 1, 2, 3, 4, 255], 15)[None].repeat(70, axis=0).astype(np.uint8)
            Image.fromarray(mask).save(data / "masks" / split / f"{name}.png")
    shutil.copy(ROOT / "configs" / "custom_example.py", tmp_path / "my_data.py")
    config = tmp_path / "my_data.py"
    text = config.read_text().replace('"./_base_', f'"{ROOT}/configs/_base_')
    tower = json.loads(tiny_clip_config.read_text())
    tower["vision_cfg"] |= {"patch_size": 32, "image_size": 64}
    (tmp_path / "tower.json").write_text(json.dumps(tower))
    config.write_text(
        text + "model = dict(clip=dict(model_name='tower.json', weights='random:0'),\n"
        "    image_encoder=dict(num_prompts=2),\n"
        "    decode_head=dict(decoder=dict(num_heads=4, feedforward_channels=32)))\n"
        "train_dataloader.update(batch_size=2, num_workers=0, persistent_workers=False)\n"
        "val_dataloader.update(num_workers=0, persistent_workers=False)\n"
        "train_cfg = dict(max_iters=2, val_interval=2)\n"
        "default_hooks = dict(checkpoint=dict(interval=2), logger=dict(interval=1))\n"
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_train_and_test(folder: Path, run_tool: Callable[..., None]) -> None:
    work_dir = folder / "work_dirs" / "my_data"
    run_tool("train.py", "my_data.py", "--seed", "5")
    trained = json.loads((work_dir / "report.json").read_text())["protocol"]
    run_tool("test.py", "my_data.py", "work_dirs/my_data/iter_2.pth")
    report = json.loads((work_dir / "report.json").read_text())
    assert set(report["per_class"]) == set(CLASSES)
    assert report["per_class"]["road"]["split"] == "unseen"
    protocol = report["protocol"]
    assert protocol["dataset"] == "my data" and protocol["unseen"] == ["dog", "road"]
    assert protocol["words"]["road"] == ["road", "street"] and protocol["stage"] == "test"
    # The test is of the model that was trained, and says so.
    for key in ("seed", "iteration", "max_iters", "training", "fingerprint", "config"):
        assert protocol[key] == trained[key], key
    assert [protocol[key] for key in ("seed", "iteration", "max_iters")] == [5, 2, 2]
