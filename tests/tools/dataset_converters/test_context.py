"""PASCAL Context, from PASCAL in Detail's JSON and from the original masks."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import mmseg
import numpy as np
import pytest
from dataset_converters.context import CATEGORY_IDS, CLASSES, LABELS, LISTS, MASKS, read_detail

from tests.tools.dataset_converters import official
from tests.tools.dataset_converters.official import prepared, read
from zegclip.errors import InputError


def test_category_ids_are_those_of_mmseg_in_the_order_in_which_it_numbers_them() -> None:
    converters = Path(mmseg.__file__).parent / ".mim" / "tools" / "dataset_converters"
    text = (converters / "pascal_context.py").read_text().partition("_mapping = np.sort(")[2]
    text = text[text.index("[") : text.index("]") + 1]
    # mmseg's label is the place of an id among the sorted ones.
    assert [0, *CATEGORY_IDS] == sorted(ast.literal_eval(text))
    assert np.flatnonzero(LABELS).tolist() == list(CATEGORY_IDS)
    assert LABELS[list(CATEGORY_IDS)].tolist() == list(range(1, 60))
    # Ids number names in the order of the alphabet, as the classes are ordered.
    assert list(CLASSES) == sorted(CLASSES) and len(CLASSES) == len(CATEGORY_IDS)


@pytest.mark.parametrize("matlab", [False, True])
def test_masks_and_lists(tmp_path: Path, matlab: bool) -> None:
    official.make_context(tmp_path / "archives", matlab)
    work = prepared("context", tmp_path)
    assert work.failures == []
    masks = {path.stem: read(path) for path in (work.root / MASKS).iterdir()}
    # Without the image that is only for testing, and VOC's that has no mask.
    assert sorted(masks) == sorted([*official.CONTEXT["train"], *official.CONTEXT["val"]])
    for part, names in official.CONTEXT.items():
        assert (work.root / LISTS / f"{part}.txt").read_text().split() == names
    for name, mask in official.detail_masks().items():
        if matlab:
            mask = np.full_like(mask, 59)
            mask[0], mask[1] = 1, 0
        assert np.array_equal(masks[name], mask)


@pytest.mark.parametrize("text", ['{"images": [', '{"images": []}', "[1]"])
def test_other_json_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(InputError, match="a.json is cut short, corrupt or not PASCAL in Detail's"):
        read_detail(tmp_path / "a.json")


def test_damaged_annotations_are_noted_and_names_lead_nowhere(tmp_path: Path) -> None:
    official.make_context(tmp_path / "archives")
    detail = official.detail_json()
    detail["annos_segmentation"][-1]["segmentation"]["counts"] = "04"
    detail["images"][0]["file_name"] = "../../x.jpg"
    (tmp_path / "archives" / "trainval_merged.json").write_text(json.dumps(detail))
    work = prepared("context", tmp_path)
    ((name, reason),) = work.failures
    assert name == "2008_000007" and "do not add up" in reason
    assert {path.stem for path in (work.root / MASKS).iterdir()} == {"x", "2008_000003"}
