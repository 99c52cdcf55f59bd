"""COCO-Stuff: official ids to train ids."""

from __future__ import annotations

import ast
from pathlib import Path

import mmseg
import numpy as np
import pytest
from dataset_converters.coco_stuff import train_id_table
from PIL import Image
from tests.dataset_converters import official
from tests.dataset_converters.official import prepared, read

from zegclip.datasets import COCOStuff171Dataset
from zegclip.errors import InputError


def reference_table() -> dict[int, int]:
    """The table in mmseg's converter."""
    converters = Path(mmseg.__file__).parent / ".mim" / "tools" / "dataset_converters"
    tree = ast.parse((converters / "coco_stuff164k.py").read_text())
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "clsID_to_trID":
            return ast.literal_eval(node.value)
    raise AssertionError("mmseg's converter has another form now")


def test_table_is_the_reference() -> None:
    reference = reference_table()
    assert len(reference) == 172
    assert train_id_table() == [reference.get(value, 255) for value in range(256)]


@pytest.mark.parametrize("jobs", [1, 2])
def test_layout_and_masks(tmp_path: Path, jobs: int) -> None:
    official.make_coco(tmp_path / "archives")
    work = prepared("coco_stuff", tmp_path, jobs=jobs)
    root = tmp_path / "data" / "coco_stuff164k"
    assert work.failures == []
    reference = reference_table()
    for member, mask in official.coco_masks().items():
        made = read(root / "annotations" / member.replace(".png", "_labelTrainIds.png"))
        expected = [[reference.get(int(value), 255) for value in row] for row in mask]
        assert made.tolist() == expected
    for part, names in official.COCO.items():
        made = [path.stem for path in (root / "images" / part).iterdir()]
        assert sorted(made) == names
    data = COCOStuff171Dataset(
        data_root=str(root),
        data_prefix=dict(img_path="images/train2017", seg_map_path="annotations/train2017"),
        pipeline=[],
    )
    assert len(data) == 3
    assert set(prepared("coco_stuff", tmp_path, jobs=jobs).tally) == {"there"}


def test_palette_masks_keep_their_ids_and_others_are_listed(tmp_path: Path) -> None:
    official.make_coco(tmp_path / "archives")
    mask = official.labels(0, 181, 92)
    palette = Image.fromarray(mask)
    palette.putpalette([7, 8, 9] * 256)
    names = official.COCO["train2017"]
    members = {
        f"train2017/{names[0]}.png": official.png(palette),
        f"train2017/{names[1]}.png": official.png(palette.convert("RGB")),
        f"train2017/{names[2]}.png": official.png(mask)[:-30],
    }
    official.write_zip(tmp_path / "archives" / "stuffthingmaps_trainval2017.zip", members)
    work = prepared("coco_stuff", tmp_path, jobs=2)
    folder = tmp_path / "data" / "coco_stuff164k" / "annotations" / "train2017"
    (made,) = folder.iterdir()
    assert set(np.unique(read(made))) == {0, 170, 81}
    failures = dict(work.failures)
    assert "mode RGB" in failures[f"train2017/{names[1]}.png"]
    assert f"train2017/{names[2]}.png" in failures
    assert work.tally["written"] == 4 + 1


def test_a_corrupt_archive_stops_with_the_members_name(tmp_path: Path) -> None:
    official.make_coco(tmp_path / "archives")
    archive = tmp_path / "archives" / "stuffthingmaps_trainval2017.zip"
    whole = bytearray(archive.read_bytes())
    place = whole.index(b"\x89PNG", whole.index(b"000000000025.png"))
    whole[place : place + 4] = b"abcd"
    archive.write_bytes(whole)
    for jobs in (1, 2):  # in this process, and from another one
        with pytest.raises(InputError, match="corrupt in train2017/000000000025.png"):
            prepared("coco_stuff", tmp_path, jobs=jobs)
