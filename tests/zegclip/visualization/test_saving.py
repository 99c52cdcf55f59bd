"""Pictures' files."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from zegclip.errors import InputError
from zegclip.visualization.saving import check_target, save_picture


@pytest.mark.parametrize("name", ["a.png", "new/folder/a.jpg", "a.pdf"])
def test_a_picture_is_written_whole(name: str, tmp_path: Path) -> None:
    check_target(tmp_path / name)
    save_picture(Image.new("RGB", (4, 4), "red"), tmp_path / name)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files == [tmp_path / name] and files[0].stat().st_size > 0


def test_what_is_there_stays(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("mine")
    with pytest.raises(InputError, match=r"a\.png is there already: --force"):
        check_target(tmp_path / "a.png")
    check_target(tmp_path / "a.png", force=True)


def test_a_broken_picture_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        save_picture(Image.new("F", (4, 4)), tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []


def test_other_formats_and_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.txt: a picture ends in \.png"):
        check_target(tmp_path / "a.txt")
    (tmp_path / "b.png").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        check_target(tmp_path / "b.png")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="no access to"):
        check_target(tmp_path / "file" / "a.png")
