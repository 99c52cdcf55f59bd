"""tools/demo.py, cut short: the whole way from drawing scenes to the sheet of pictures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
SHORT = [
    "train_cfg.max_iters=2",
    "train_cfg.val_interval=2",
    "default_hooks.checkpoint.interval=2",
    *(
        f"{loader}.{option}"
        for loader in ("train_dataloader", "val_dataloader", "test_dataloader")
        for option in ("num_workers=0", "persistent_workers=False")
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize("method", ["tagclip", "ldvc"])
def test_demo_writes_report_and_pictures(method: str, tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "tools" / "demo.py"), "--work-dir", str(tmp_path / "out")]
    done = subprocess.run(
        [*command, "--method", method, "--pictures", "2", "--cfg-options", *SHORT],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert set(report["per_class"]) | set(report["absent"]) >= {"cat", "sofa"}
    with Image.open(tmp_path / "out" / "predictions.png") as picture:
        assert picture.width > (4 if method == "tagclip" else 3) * 192  # TagCLIP's trusty map
    for words in ("mIoU(U)", "predictions.png", f"configs/{method}_voc_inductive.py"):
        assert words in done.stdout
