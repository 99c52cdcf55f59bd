"""PASCAL Context, from PASCAL in Detail's JSON and from the original masks."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import mmseg
import numpy as np
import pytest
from dataset_converters.context import CATEGORY_IDS, CLASSES, category_table, read_detail
from tests.dataset_converters import official
from tests.dataset_converters.official import prepared, read

from zegclip.datasets import Context59Dataset
from zegclip.errors import InputError

ROOT = Path("data") / "VOCdevkit" / "VOC2010"


def names(folder: Path, part: str) -> list[str]:
    return (folder / ROOT / f"ImageSets/SegmentationContext/{part}.txt").read_text().split()


def test_category_ids_are_those_of_mmseg_in_the_order_in_which_it_numbers_them() -> None:
    converters = Path(mmseg.__file__).parent / ".mim" / "tools" / "dataset_converters"
    tree = ast.parse((converters / "pascal_context.py").read_text())
    (listed,) = (
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_mapping"
    )
    lists = [node for node in ast.walk(listed) if isinstance(node, ast.List)]
    ids = ast.literal_eval(lists[0])
    # mmseg's label is the place of an id among the sorted ones.
    assert [0, *CATEGORY_IDS] == sorted(ids)
    assert np.flatnonzero(category_table()).tolist() == list(CATEGORY_IDS)
    # Ids number names in the order of the alphabet, as the classes are ordered.
    assert list(CLASSES) == sorted(CLASSES) and len(CLASSES) == len(CATEGORY_IDS) == 59


def test_json(tmp_path: Path) -> None:
    official.make_context(tmp_path / "archives")
    work = prepared("context", tmp_path, jobs=2)
    assert work.failures == [] and work.notes == []
    for name, mask in official.detail_masks().items():
        made = read(tmp_path / ROOT / "SegmentationClassContext" / f"{name}.png")
        assert np.array_equal(made, mask)
    assert names(tmp_path, "train") == official.CONTEXT["train"]
    assert names(tmp_path, "val") == official.CONTEXT["val"]  # the test image is not there
    data = Context59Dataset(
        data_root=str(tmp_path / ROOT),
        data_prefix=dict(img_path="JPEGImages", seg_map_path="SegmentationClassContext"),
        ann_file="ImageSets/SegmentationContext/train.txt",
        pipeline=[],
    )
    assert len(data) == 2
    assert set(prepared("context", tmp_path).tally) == {"there"}


def test_json_is_read_without_what_is_not_needed(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text(json.dumps(official.detail_json()))
    detail = read_detail(file)
    assert set(detail) == {"images", "annos_segmentation", "categories"}
    image_id, category, code = detail["annos_segmentation"][0]
    assert (image_id, category, set(code)) == (2008000002, 360, {"size", "counts"})


@pytest.mark.parametrize(
    ("text", "message"),
    [('{"images": [', "cut short or corrupt"), ('{"images": []}', "not PASCAL in Detail's")],
)
def test_other_json_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(InputError, match=message):
        read_detail(tmp_path / "a.json")


def test_bad_annotations_are_listed_and_names_are_checked(tmp_path: Path) -> None:
    official.make_context(tmp_path / "archives")
    file = tmp_path / "archives" / "trainval_merged.json"
    detail = official.detail_json()
    detail["annos_segmentation"][-1]["segmentation"]["counts"] = "04"  # type: ignore[index]
    detail["categories"][0]["name"] = "cat"  # type: ignore[index]
    file.write_text(json.dumps(detail))
    work = prepared("context", tmp_path)
    ((name, reason),) = work.failures
    assert name == "2008_000007" and "add up to 4" in reason
    assert "284 is 'cat', not 'person'" in work.notes[0]

    detail["images"][0]["file_name"] = "../../x.jpg"  # type: ignore[index]
    file.write_text(json.dumps(detail))
    with pytest.raises(InputError, match="'../../x.jpg' is not an image's name"):
        prepared("context", tmp_path)


def test_original_masks(tmp_path: Path) -> None:
    official.make_context(tmp_path / "archives", matlab=True)
    work = prepared("context", tmp_path, jobs=2)
    assert work.failures == [] and work.notes == []
    masks = tmp_path / ROOT / "SegmentationClassContext"
    listed = [*official.CONTEXT["train"], *official.CONTEXT["val"]]
    assert sorted(path.stem for path in masks.iterdir()) == listed
    made = read(masks / f"{listed[0]}.png")
    assert (made[0] == 1).all() and (made[1] == 0).all() and (made[2:] == 59).all()
    # VOC's own lists, without the image that has no mask.
    assert names(tmp_path, "train") == official.CONTEXT["train"]
    assert names(tmp_path, "val") == official.CONTEXT["val"]
