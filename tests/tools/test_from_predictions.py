"""tools/test.py --from-predictions: other systems by the same protocol."""

from __future__ import annotations

import json
import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from zegclip.datasets.mini.scenes import make_scenes

ROOT = Path(__file__).parents[2]
CONFIG = "configs/tagclip_mini_inductive.py"


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_scenes(tmp_path_factory.mktemp("data") / "scenes", num_train=20, num_val=4)


def options(scenes: Path) -> list[str]:
    dataset = "test_dataloader.dataset"
    settings = {"data_root": scenes, "num_train": 20, "num_val": 4}
    return ["--cfg-options", *(f"{dataset}.{key}={value}" for key, value in settings.items())]


def labels_of(scenes: Path, index: int) -> np.ndarray:
    return np.asarray(Image.open(scenes / "SegmentationClass" / f"val_{index:05}.png"))


@pytest.fixture
def perfect(scenes: Path, tmp_path: Path) -> Path:
    """Predictions that are right wherever there is a label."""
    folder = tmp_path / "predictions"
    folder.mkdir()
    for index in range(4):
        labels = labels_of(scenes, index)
        ids = np.where((labels > 0) & (labels < 255), labels - 1, 7).astype(np.uint8)
        Image.fromarray(ids).save(folder / f"val_{index:05}.png")
    return folder


def score(folder: Path, scenes: Path, monkeypatch: pytest.MonkeyPatch) -> dict:
    """Run the tool in this process; its report."""
    work_dir = folder.parent / "w"
    arguments = [CONFIG, "--from-predictions", str(folder), "--work-dir", str(work_dir)]
    monkeypatch.setattr(sys, "argv", ["test.py", *arguments, *options(scenes)])
    monkeypatch.chdir(ROOT)
    runpy.run_path(str(ROOT / "tools" / "test.py"), run_name="__main__")
    return json.loads((work_dir / "predictions_report.json").read_text())


def test_perfect_predictions(perfect: Path, scenes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = score(perfect, scenes, monkeypatch)
    assert report["pAcc"] == report["mIoU_S"] == 100
    protocol = report["protocol"]
    assert protocol["images"] == 4 and protocol["predictions"] == "predictions"
    assert protocol["unseen"] == ["pottedplant", "sheep", "sofa", "train", "tvmonitor"]


def test_no_class_is_wrong(perfect: Path, scenes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = [labels_of(scenes, index) for index in range(4)]
    total = sum(int(((label > 0) & (label < 255)).sum()) for label in labels)
    lost = int(((labels[0] > 0) & (labels[0] < 255)).sum())
    Image.fromarray(np.full(labels[0].shape, 255, np.uint8)).save(perfect / "val_00000.png")
    report = score(perfect, scenes, monkeypatch)
    assert report["pAcc"] == pytest.approx(100 * (total - lost) / total)


def test_subfolders_and_sixteen_bits(
    perfect: Path, scenes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = perfect / "val_00001.png"
    Image.fromarray(np.asarray(Image.open(path)).astype(np.uint16)).save(path)
    assert score(perfect, scenes, monkeypatch)["pAcc"] == 100


def test_everything_wrong_is_said_at_once(
    perfect: Path, scenes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("L", (5, 6)).save(perfect / "val_00000.png")
    Image.new("RGB", (96, 96)).save(perfect / "val_00001.png")
    shifted = np.asarray(Image.open(perfect / "val_00002.png")).copy() + 1
    shifted[0, 0] = 20
    Image.fromarray(shifted).save(perfect / "val_00002.png")
    (perfect / "val_00003.png").write_bytes(b"no picture")
    with pytest.raises(SystemExit) as stop:
        score(perfect, scenes, monkeypatch)
    said = str(stop.value)
    assert "4 of 4 predictions cannot be scored" in said
    assert "val_00000.png: 5x6 pixels" in said and "val_00001.png: 3 channels" in said
    assert "val_00003.png: not a readable image" in said
    assert not (perfect.parent / "w" / "predictions_report.json").exists()


def test_an_id_outside_the_classes(
    perfect: Path, scenes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.fromarray(np.full((96, 96), 21, np.uint8)).save(perfect / "val_00000.png")
    with pytest.raises(SystemExit, match=r"holds the id 21, but the 20 classes are 0\.\.19"):
        score(perfect, scenes, monkeypatch)


def test_shifted_ids_get_a_hint(
    perfect: Path, scenes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.fromarray(np.full((96, 96), 20, np.uint8)).save(perfect / "val_00000.png")
    with pytest.raises(SystemExit, match="shifted by one"):
        score(perfect, scenes, monkeypatch)


def test_missing_predictions_are_named(
    perfect: Path, scenes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (perfect / "val_00002.png").rename(perfect / "other.png")
    with pytest.raises(
        SystemExit, match=r"1 of 4 images have no prediction.*val_00002\.png.*other"
    ):
        score(perfect, scenes, monkeypatch)


@pytest.mark.parametrize("arguments", [[], ["x.pth", "--from-predictions", "y"]])
def test_a_checkpoint_or_predictions(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["test.py", CONFIG, *arguments])
    with pytest.raises(SystemExit):
        runpy.run_path(str(ROOT / "tools" / "test.py"), run_name="__main__")
    assert "give a checkpoint, or --from-predictions" in capsys.readouterr().err


@pytest.mark.slow
def test_what_a_model_wrote_gets_the_models_numbers(
    scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(ROOT / "data" / "mini" / "tagclip_mini.pth", tmp_path / "model.pth")
    folder = tmp_path / "predictions"
    done = subprocess.run(
        [
            sys.executable, "tools/test.py", CONFIG, str(tmp_path / "model.pth"),
            "--work-dir", str(tmp_path / "w"), "--out", str(folder), *options(scenes),
        ],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    by_model = json.loads((tmp_path / "w" / "report.json").read_text())
    by_files = score(folder, scenes, monkeypatch)
    for key in ("pAcc", "mIoU_S", "mIoU_U", "hIoU", "per_class"):
        assert by_files[key] == by_model[key]
