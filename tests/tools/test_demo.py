"""tools/demo.py, cut short: the whole way from drawing scenes to the sheet of pictures."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import demo
import pytest
from PIL import Image

from zegclip.errors import InputError


@pytest.mark.slow
@pytest.mark.parametrize("method", ["tagclip", "ldvc"])
def test_demo_writes_report_and_pictures(
    method: str,
    tmp_path: Path,
    run_tool: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    short = [
        *(f"train_cfg.{key}=2" for key in ("max_iters", "val_interval")),
        "default_hooks.checkpoint.interval=2",
        *(
            f"{mode}_dataloader.{option}"
            for mode in ("train", "val", "test")
            for option in (
                "num_workers=0",
                "persistent_workers=False",
                "dataset.number=40",
                f"dataset.data_root={tmp_path / 'scenes'}",
            )
        ),
    ]
    out = tmp_path / "out"
    options = ["--work-dir", out, "--method", method, "--pictures", "2", "--cfg-options", *short]
    run_tool("demo.py", *options)
    report = json.loads((out / "report.json").read_text())
    assert set(report["per_class"]) | set(report["absent"]) >= {"cat", "sofa"}
    with Image.open(out / "predictions.png") as picture:
        assert picture.width > (4 if method == "tagclip" else 3) * 192  # TagCLIP's trusty map
    said = capsys.readouterr().out
    for words in ("mIoU(U)", "predictions.png", f"configs/{method}_voc_inductive.py"):
        assert words in said


def test_an_option_that_nothing_reads_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="max_iters: no part .* set train_cfg.max_iters"):
        demo.main(["--work-dir", str(tmp_path / "out"), "--cfg-options", "max_iters=10"])
    assert not (tmp_path / "out").exists()
