"""COCO-Stuff: official ids to train ids."""

from __future__ import annotations

import ast
from pathlib import Path

import mmseg
import numpy as np
from dataset_converters.coco_stuff import TRAIN_IDS
from PIL import Image

from tests.tools.dataset_converters import official


def test_train_ids_are_those_of_mmseg() -> None:
    converters = Path(mmseg.__file__).parent / ".mim" / "tools" / "dataset_converters"
    text = (converters / "coco_stuff164k.py").read_text().partition("clsID_to_trID = ")[2]
    reference = ast.literal_eval(text[: text.index("}") + 1])
    assert len(reference) == 172
    assert TRAIN_IDS.tolist() == [reference.get(value, 255) for value in range(256)]


def test_masks(tmp_path: Path) -> None:
    """Palette masks keep their ids; unreadable ones are noted."""
    official.make_coco(tmp_path / "archives")
    masks = official.coco_masks() | {"train2017/a.png": official.labels(0, 181, 92)}
    members = {name: official.png(mask) for name, mask in masks.items()}
    palette = Image.fromarray(masks["train2017/a.png"])
    palette.putpalette([7, 8, 9] * 256)
    members |= {
        "train2017/a.png": official.png(palette),
        "train2017/b.png": official.png(palette.convert("RGB")),
        "train2017/c.png": members["train2017/a.png"][:-30],
        "train2017/d.png": official.png(official.labels(0, 182)),
    }
    official.write_archive(tmp_path / "archives" / "stuffthingmaps_trainval2017.zip", members)
    work = official.prepared("coco_stuff", tmp_path)
    for member, mask in masks.items():
        made = work.root / "annotations" / member.replace(".png", "_labelTrainIds.png")
        assert np.array_equal(official.read(made), TRAIN_IDS[mask])
    reasons = dict(work.failures)
    assert sorted(reasons) == ["train2017/b.png", "train2017/c.png", "train2017/d.png"]
    assert "mode RGB" in reasons["train2017/b.png"] and "[182]" in reasons["train2017/d.png"]
    for part, names in official.COCO.items():
        assert sorted(p.stem for p in (work.root / "images" / part).iterdir()) == names
