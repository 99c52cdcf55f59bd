"""A wheel, installed elsewhere, segments a picture and runs a tool from any folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of an environment that has the wheel, and everything else from this one."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    source = folder / "source"  # a build leaves files behind
    large = shutil.ignore_patterns(".*", "work_dirs", "scenes", "__pycache__", "*.egg-info")
    shutil.copytree(ROOT, source, ignore=lambda path, names: {
        *large(path, names), *(set(names) - {"mini"} if path == str(ROOT / "data") else ()),
    })  # fmt: skip
    build = ["wheel", "--no-deps", "--no-build-isolation", "-q", "-w", str(folder), str(source)]
    subprocess.run([*pip, *build], check=True, timeout=300)
    venv.create(folder / "env", with_pip=False)
    (site,) = (folder / "env").glob("lib/python*/site-packages")
    # Packages of this environment without its editable install of ours, which its .pth files are.
    paths = [path for path in sys.path if path.endswith("site-packages")]
    (site / "rest.pth").write_text("".join(f"{path}\n" for path in paths))
    (wheel,) = folder.glob("zegclip-*.whl")
    subprocess.run(
        [*pip, "install", "-q", "--no-deps", "--target", str(site), str(wheel)],
        check=True,
        timeout=300,
    )
    return folder / "env" / "bin" / "python"


def run(python: Path, folder: Path, *command: str) -> str:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [str(python), *command],
        cwd=folder,
        env=environment | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    return done.stdout


@pytest.mark.slow
def test_it_segments_a_picture(installed: Path, tmp_path: Path) -> None:
    code = """
import numpy as np, zegclip
from zegclip.apis import ZeroShotInferencer
segment = ZeroShotInferencer(checkpoint="data/mini/mini_model.pth")
result = segment(np.full((96, 96, 3), 120, np.uint8), ["cat", "dog"])
print(zegclip.__file__, result.labels.shape)
"""
    output = run(installed, tmp_path, "-c", code)
    assert str(installed.parents[1]) in output and "(96, 96)" in output


@pytest.mark.slow
def test_its_tools_and_configs_are_there(installed: Path, tmp_path: Path) -> None:
    output = run(installed, tmp_path, "-m", "zegclip", "tools/train.py", "--help")
    assert "python tools/train.py configs/" in output
    code = "import zegclip.engine.config_files as c; print(c.find_config('zegclip_voc_inductive'))"
    assert ".mim" in run(installed, tmp_path, "-c", code)


@pytest.mark.slow
def test_its_tables_have_the_published_numbers(installed: Path, tmp_path: Path) -> None:
    protocol = {
        "config": "zegclip_voc_inductive",
        "dataset": "PASCAL VOC 2012 (20 classes)",
        "setting": "inductive",
        "unseen": ["pottedplant", "sheep", "sofa", "train", "tvmonitor"],
    }
    scores = dict.fromkeys(("pAcc", "mIoU_S", "mIoU_U", "hIoU"), 50.0)
    (tmp_path / "report.json").write_text(json.dumps(scores | {"protocol": protocol}))
    output = run(installed, tmp_path, "-m", "zegclip", "tools/summarize.py", str(tmp_path))
    assert "94.6 / 91.9 / 77.8 / 84.3" in output


def test_every_config_of_the_index_is_there() -> None:
    index = yaml.safe_load((ROOT / "model-index.yml").read_text())
    for name in index["Import"]:
        content = yaml.safe_load((ROOT / name).read_text())
        (collection,) = content["Collections"]
        assert (ROOT / collection["README"]).is_file()
        assert (ROOT / collection["Code"]["URL"]).is_file()
        for model in content["Models"]:
            assert (ROOT / model["Config"]).is_file(), model["Name"]
            assert model["In Collection"] == collection["Name"]
