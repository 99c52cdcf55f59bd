"""tools/browse_dataset.py on a small data set, and on the sample photographs of VOC."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "tests" / "data" / "voc_sample" / "VOCdevkit" / "VOC2012"


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    path = ROOT / "tools" / "browse_dataset.py"
    spec = importlib.util.spec_from_file_location("browse_dataset", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ten images: image i holds a cat, from 6 on also a sofa; 8 and 9 only the sofa."""
    for name in ("images", "masks"):
        (tmp_path / "data" / name).mkdir(parents=True)
    for index in range(10):
        mask = np.zeros((8, 12), np.uint8)
        mask[:, :3] = 255
        mask[:, 6:] = 2 if index >= 6 else 0
        mask[:, 3:6] = 2 if index >= 8 else 0
        Image.new("RGB", (12, 8), (index, 0, 0)).save(tmp_path / "data/images" / f"{index}.jpg")
        Image.fromarray(mask).save(tmp_path / "data/masks" / f"{index}.png")
    path = tmp_path / "mine.py"
    loader = "dict(dataset=dict(data, pipeline={}_pipeline))"
    path.write_text(
        "default_scope = 'mmseg'\n"
        "custom_imports = dict(imports=['zegclip'])\n"
        "model = dict(clip=dict(model_name='ViT-B-16', weights='nowhere.pt'))\n"
        "test_pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadCheckedAnnotations'),\n"
        "    dict(type='PackZeroShotInputs')]\n"
        "train_pipeline = [*test_pipeline[:2], dict(type='HideUnseenLabels'), test_pipeline[2]]\n"
        "data = dict(type='ZeroShotDataset', data_root='data', unseen=['sofa'],\n"
        "    data_prefix=dict(img_path='images', seg_map_path='masks'),\n"
        "    metainfo=dict(classes=['cat', 'dog', 'sofa'], dataset_name='mine'))\n"
        f"train_dataloader = {loader.format('train')}\n"
        f"val_dataloader = {loader.format('test')}\n"
    )
    monkeypatch.chdir(tmp_path)
    return path


def test_sheets_and_statistics(
    tool: ModuleType, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tool.main([str(config), "--number", "10", "--json", "s.json", "--jobs", "2"]) == 0
    folder = Path("work_dirs/browse/mine_train")
    assert [path.name for path in sorted(folder.iterdir())] == ["sheet_01.png", "sheet_02.png"]
    content = json.loads(Path("s.json").read_text())
    assert content["masks"] == content["images"] == 10
    pixels = {name: entry["pixels"] for name, entry in content["classes"].items()}
    assert pixels == {"cat": 6 * 72 + 2 * 24, "dog": 0, "sofa": 2 * 48 + 2 * 72}
    assert content["never"] == ["dog"] and content["problems"] == []
    assert content["images_with_unseen"] == 4 and content["images_without_seen"] == 2
    output = capsys.readouterr().out
    assert "4 images hold an unseen class, 2 have no pixel of a seen class" in output
    assert "in none of these masks: dog" in output and "seen 50.00 %, unseen 25.00 %" in output


def test_nothing_is_overwritten_without_force(tool: ModuleType, config: Path) -> None:
    out = ["--out", "sheets", "--jobs", "1"]
    assert tool.main([str(config), *out, "--number", "9"]) == 0
    before = Path("sheets/sheet_01.png").read_bytes()
    with pytest.raises(SystemExit) as stop:
        tool.main([str(config), *out, "--number", "2"])
    assert stop.value.code == 2 and Path("sheets/sheet_01.png").read_bytes() == before
    Path("sheets/sheet_notes.png").touch()
    assert tool.main([str(config), *out, "--number", "2", "--force"]) == 0
    names = sorted(path.name for path in Path("sheets").iterdir())
    assert names == ["sheet_01.png", "sheet_notes.png"]  # the old second one is gone
    assert Path("sheets/sheet_01.png").read_bytes() != before

    Path("s.json").write_text("mine")
    with pytest.raises(SystemExit):
        tool.main([str(config), "--stats-only", "--json", "s.json"])
    assert Path("s.json").read_text() == "mine"


def test_a_sample_of_masks_and_no_drawing(tool: ModuleType, config: Path) -> None:
    options = ["--split", "val", "--stats-only", "--sample", "4", "--json", "s.json", "--jobs", "1"]
    assert tool.main([str(config), *options]) == 0
    content = json.loads(Path("s.json").read_text())
    # 0, 3, 6, 9: the last two hold the sofa.
    assert content["masks"] == 4 and content["classes"]["sofa"]["images"] == 2
    assert not Path("work_dirs").exists()


def test_broken_files_are_listed(
    tool: ModuleType, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("data/masks/3.png").write_bytes(b"broken")
    Image.new("RGB", (12, 8), (9, 0, 0)).save("data/masks/5.png")
    Path("data/images/7.jpg").write_bytes(b"broken")
    assert tool.main([str(config), "--number", "10", "--json", "s.json", "--jobs", "2"]) == 1
    output = capsys.readouterr().out
    assert "3 files cannot be used" in output
    for part in ("3.png: not a readable image", "5.png: 3 channels", "7.jpg: not a readable image"):
        assert part in output
    content = json.loads(Path("s.json").read_text())
    assert content["masks"] == 7 and len(content["problems"]) == 3
    assert len(list(Path("work_dirs/browse/mine_train").glob("*.png"))) == 1


def test_it_needs_data_but_no_weights(tool: ModuleType, config: Path) -> None:
    text = config.read_text().replace("data_root='data'", "data_root='elsewhere'")
    config.write_text(text)
    with pytest.raises(SystemExit, match=r"(?s)1 thing is missing.*elsewhere does not exist"):
        tool.main([str(config)])
    assert not Path("work_dirs").exists()


def test_a_config_without_the_split(tool: ModuleType, config: Path) -> None:
    with pytest.raises(SystemExit) as stop:
        tool.main([str(config), "--split", "test"])
    assert stop.value.code == 2


def test_repeated_and_joined_data_sets(tool: ModuleType, config: Path) -> None:
    with config.open("a") as file:
        file.write(
            "part = train_dataloader['dataset']\n"
            "joined = dict(type='ConcatDataset', datasets=[part, part])\n"
            "train_dataloader = dict(_delete_=True, dataset=dict(\n"
            "    type='RepeatDataset', times=3, dataset=joined))\n"
        )
    options = ["--json", "s.json", "--number", "20", "--jobs", "1"]
    assert tool.main([str(config), *options]) == 0
    assert json.loads(Path("s.json").read_text())["masks"] == 20


def test_a_data_set_without_split_is_refused(tool: ModuleType, config: Path) -> None:
    config.write_text(config.read_text().replace("ZeroShotDataset", "BaseSegDataset"))
    config.write_text(config.read_text().replace(" unseen=['sofa'],", ""))
    with pytest.raises(SystemExit, match="is a BaseSegDataset, which knows no seen and unseen"):
        tool.main([str(config)])


def test_on_photographs(tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    options = ["--cfg-options", f"val_dataloader.dataset.data_root={SAMPLE}", "--split", "val"]
    assert tool.main(["zegclip_voc_inductive", *options, "--json", "s.json", "--jobs", "1"]) == 0
    classes = json.loads(Path("s.json").read_text())["classes"]
    found = {name for name, entry in classes.items() if entry["pixels"]}
    assert found == {"chair", "person", "sofa"}
    (sheet,) = Path("work_dirs/browse/zegclip_voc_inductive_val").iterdir()
    with Image.open(sheet) as picture:
        assert picture.height > 224 and picture.width > 3 * 290
