"""Which data set a class or folder is of, and the commands that get it."""

from __future__ import annotations

from pathlib import Path

import pytest
from dataset_converters import DATA_SETS, STEPS, how_to_get, recognise

DOCS = Path(__file__).parents[3] / "docs" / "data.md"


@pytest.mark.parametrize(
    ("class_name", "root", "key"),
    [
        ("VOC20Dataset", "data/VOCdevkit/VOC2012", "voc"),
        ("VOC21Dataset", "data/VOCdevkit/VOC2012", "voc"),
        ("Context59Dataset", "data/VOCdevkit/VOC2010", "context"),
        ("Context60Dataset", "/elsewhere", "context"),
        ("COCOStuff171Dataset", "data/coco_stuff164k", "coco_stuff"),
        ("ADE150Dataset", "data/ade/ADEChallengeData2016", "ade"),
        ("PascalContextDataset59", "x", "context"),
        ("ZeroShotDataset", "data/VOCdevkit/VOC2010", "context"),
        ("ZeroShotDataset", "data/VOCdevkit/VOC2012", "voc"),
        ("ZeroShotDataset", "my/voc", "voc"),
        ("ZeroShotDataset", "data/ade/ADEChallengeData2016", "ade"),
        ("FacadeDataset", "/home/jade/facades", None),
        ("ZeroShotDataset", "/home/coconut/pictures", None),
        ("ZeroShotDataset", "/home/advocate/data", None),
    ],
)
def test_recognised(class_name: str, root: str, key: str | None) -> None:
    found = recognise(class_name, root)
    assert (found.key if found else None) == key
    assert bool(how_to_get(class_name, root)) == (key is not None)


@pytest.mark.parametrize("key", DATA_SETS)
def test_commands(key: str) -> None:
    description = DATA_SETS[key]
    text = description.how_to_get()
    for choice in description.archives:
        for archive in choice:
            assert f"-o data/archives/{archive.name} {archive.url}" in text
    command = f"python tools/prepare_dataset.py {key} --archives data/archives --out data"
    assert text.splitlines()[-1].strip() == command
    assert key in STEPS


@pytest.mark.parametrize("key", DATA_SETS)
def test_the_documentation_says_the_same(key: str) -> None:
    description, text = DATA_SETS[key], DOCS.read_text(encoding="utf-8")
    for archive in (archive for choice in description.archives for archive in choice):
        assert f"[{archive.name}]({archive.url}) ({archive.gigabytes:g} GB)" in text
    for split in description.splits:
        assert f"{split.count:,}" in text
    assert description.label_rule in text and description.root in text
    assert description.prepare_command("data/archives", "data") in text
