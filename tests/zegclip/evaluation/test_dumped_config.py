from __future__ import annotations

from pathlib import Path

import pytest
from mmengine.config import Config

from zegclip.evaluation.dumped_config import read_dumped_config

PROJECT = Path(__file__).parents[3]


@pytest.mark.parametrize("name", ["ldvc_mini_inductive", "tagclip_coco_inductive"])
def test_what_mmengine_dumps_is_read_as_mmengine_reads_it(name: str, tmp_path: Path) -> None:
    config = Config.fromfile(PROJECT / "configs" / f"{name}.py")
    config.merge_from_dict({"numbers": [-1, 2.5, None], "keys": {1: "a", "not a name": ("b",)}})
    config.dump(tmp_path / "dumped.py")
    expected = Config.fromfile(tmp_path / "dumped.py")._cfg_dict.to_dict()
    assert read_dumped_config(tmp_path / "dumped.py") == expected
    assert expected["keys"][1] == "a" and expected["numbers"][0] == -1


@pytest.mark.parametrize(
    "text",
    [
        "import os",
        "a = __import__('os').system('false')",
        "a = dict(b=open('x'))",
        "a = dict([(1, 2)])",
        "a = dict(**{'b': 1})",
        "a = {**dict(b=1)}",
        "a = [x for x in (1, 2)]",
        "a = b = 1",
        "a.b = 1",
        "a = (",
    ],
)
def test_anything_but_literals_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.py").write_text(text)
    with pytest.raises(ValueError, match="config.py is no config that mmengine dumped"):
        read_dumped_config(tmp_path / "config.py")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="absent.py is no config"):
        read_dumped_config(tmp_path / "absent.py")
