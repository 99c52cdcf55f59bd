"""tools/browse_dataset.py on a small data set."""

from __future__ import annotations

import json
from pathlib import Path

import browse_dataset
import numpy as np
import pytest
from PIL import Image

from zegclip.errors import InputError


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
    path.write_text(
        "default_scope = 'mmseg'\n"
        "custom_imports = dict(imports=['zegclip'])\n"
        "model = dict(clip=dict(model_name='ViT-B-16', weights='nowhere.pt'))\n"
        "steps = 'LoadImageFromFile', 'LoadCheckedAnnotations', 'PackZeroShotInputs'\n"
        "train_dataloader = dict(dataset=dict(type='ZeroShotDataset', data_root='data',\n"
        "    data_prefix=dict(img_path='images', seg_map_path='masks'), unseen=['sofa'],\n"
        "    metainfo=dict(classes=['cat', 'dog', 'sofa'], dataset_name='mine'),\n"
        "    pipeline=[dict(type=step) for step in steps]))\n"
    )
    monkeypatch.chdir(tmp_path)
    return path


def test_sheets_and_statistics(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    browse_dataset.main([str(config), "--number", "9", "--json", "s.json"])
    folder = Path("work_dirs/browse/mine_train")
    assert [path.name for path in sorted(folder.iterdir())] == ["sheet_01.png", "sheet_02.png"]
    content = json.loads(Path("s.json").read_text())
    assert content["masks"] == content["images"] == 10
    pixels = {name: entry["pixels"] for name, entry in content["classes"].items()}
    assert pixels == {"cat": 6 * 72 + 2 * 24, "dog": 0, "sofa": 2 * 48 + 2 * 72}
    assert content["never"] == ["dog"] and content["problems"] == []
    output = capsys.readouterr().out
    assert "4 images hold an unseen class, 2 have no pixel of a seen class" in output
    assert "in none of these masks: dog" in output and "seen 50.00 %, unseen 25.00 %" in output
    # Fewer sheets of another run leave no old ones behind.
    browse_dataset.main([str(config), "--number", "1", "--sample", "4", "--json", "s.json"])
    assert [path.name for path in folder.iterdir()] == ["sheet_01.png"]
    content = json.loads(Path("s.json").read_text())
    # 0, 3, 6, 9: the last two hold the sofa.
    assert content["masks"] == 4 and content["classes"]["sofa"]["images"] == 2


def test_masks_of_0_and_255(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hint = "0 and 255 are the only labels in these masks, and 255 is ignored"
    browse_dataset.main([str(config), "--number", "0"])
    assert hint not in capsys.readouterr().out
    for path in Path("data/masks").iterdir():
        mask = np.array(Image.open(path))
        Image.fromarray(np.where(mask == 2, 0, mask)).save(path)
    browse_dataset.main([str(config), "--number", "0"])
    assert hint in capsys.readouterr().out
    # In label 1 alone 255 is void.
    for path in Path("data/masks").iterdir():
        mask = np.array(Image.open(path))
        Image.fromarray(np.where(mask == 0, 1, mask)).save(path)
    browse_dataset.main([str(config), "--number", "0"])
    assert hint not in capsys.readouterr().out


def test_data_sets_that_are_joined_and_repeated(config: Path) -> None:
    with config.open("a") as file:
        file.write(
            "one = train_dataloader['dataset']\n"
            "both = dict(type='ConcatDataset', datasets=[one, one])\n"
            "val_dataloader = dict(dataset=dict(type='RepeatDataset', times=2, dataset=both))\n"
            "test_dataloader = dict(dataset={**one, 'data_prefix': dict(img_path='images')})\n"
        )
    browse_dataset.main([str(config), "--split", "val", "--number", "2", "--json", "s.json"])
    content = json.loads(Path("s.json").read_text())
    assert content["masks"] == content["images"] == 40
    assert content["classes"]["sofa"]["images"] == 16
    with pytest.raises(InputError, match="test_dataloader has no masks"):
        browse_dataset.main([str(config), "--split", "test"])


def test_broken_files_are_listed(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("data/masks/3.png").write_bytes(b"broken")
    Image.new("RGB", (12, 8), (9, 0, 0)).save("data/masks/5.png")
    Path("data/images/7.jpg").write_bytes(b"broken")
    whole = Path("data/images/9.jpg").read_bytes()
    Path("data/images/9.jpg").write_bytes(whole[:-40])  # its header is fine
    for sound in (1, 2, 4, 6, 8):  # fewer pictures to draw
        for file in (f"images/{sound}.jpg", f"masks/{sound}.png"):
            Path("data", file).unlink()
    with pytest.raises(SystemExit, match="1"):
        browse_dataset.main([str(config), "--number", "0"])
    output = capsys.readouterr().out
    assert "4 files cannot be used" in output and "9.jpg: not a readable" in output
    with pytest.raises(SystemExit, match="1"):
        browse_dataset.main([str(config), "--out", "sheets"])
    output = capsys.readouterr().out
    assert "4 files cannot be used" in output
    for part in ("3.png: not a", "5.png: several channels", "7.jpg: not a", "9.jpg: not a"):
        assert part in output
    assert [path.name for path in Path("sheets").iterdir()] == ["sheet_01.png"]


def test_what_it_needs(config: Path) -> None:
    with pytest.raises(InputError, match="has no test_dataloader"):
        browse_dataset.main([str(config), "--split", "test"])
    text = config.read_text()
    config.write_text(text.replace("data_root='data'", "data_root='elsewhere'"))
    with pytest.raises(InputError, match="there is no .*elsewhere"):
        browse_dataset.main([str(config)])
    text = text.replace("ZeroShotDataset", "BaseSegDataset").replace(" unseen=['sofa'],", "")
    config.write_text(text)
    with pytest.raises(InputError, match="BaseSegDataset is no ZeroShotDataset"):
        browse_dataset.main([str(config)])
