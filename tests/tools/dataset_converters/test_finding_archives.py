"""Archives are found, and what is none is refused before work starts."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from dataset_converters import DATA_SETS
from dataset_converters.description import Archive
from dataset_converters.finding_archives import check_md5, check_opens, find_archives
from tests.dataset_converters import official

from zegclip.errors import InputError


def test_missing_archives_are_one_message_with_all_commands(tmp_path: Path) -> None:
    (tmp_path / "benchmark.tgz").touch()
    with pytest.raises(InputError) as error:
        find_archives(DATA_SETS["voc"], tmp_path, "python tools/x.py voc")
    message = str(error.value)
    assert "1 of 2 archives" in message
    assert "VOCtrainval_11-May-2012.tar http://host.robots.ox.ac.uk/pascal/VOC/voc2012/" in message
    assert "benchmark.tgz" not in message
    assert message.endswith("python tools/x.py voc")


def test_archives_are_found_below_the_folder_and_the_json_is_preferred(tmp_path: Path) -> None:
    official.make_context(tmp_path / "a" / "b")
    official.make_context(tmp_path / "c", matlab=True)
    found = find_archives(DATA_SETS["context"], tmp_path, "")
    assert found["trainval_merged.json"][1] == tmp_path / "a" / "b" / "trainval_merged.json"
    (tmp_path / "a" / "b" / "trainval_merged.json").unlink()
    found = find_archives(DATA_SETS["context"], tmp_path, "")
    assert found["trainval_merged.json"][1] == tmp_path / "c" / "trainval.tar.gz"
    assert found["VOCtrainval_03-May-2010.tar"][1].parent == tmp_path / "c"  # the least deep


def test_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no folder .*nowhere"):
        find_archives(DATA_SETS["ade"], tmp_path / "nowhere", "")


def test_a_saved_error_page_is_named(tmp_path: Path) -> None:
    page = tmp_path / "benchmark.tgz"
    page.write_text("\n<!DOCTYPE html><title>404</title>")
    with pytest.raises(InputError, match="is a web page, not an archive"):
        check_opens(page)
    text = tmp_path / "trainval_merged.json"
    text.write_text("[1]")
    with pytest.raises(InputError, match="not a JSON object"):
        check_opens(text)


def test_checksums(tmp_path: Path) -> None:
    file = tmp_path / "a.tar"
    file.write_bytes(b"content")
    right = hashlib.md5(b"content").hexdigest()
    check_md5(Archive("a.tar", "", 1, right), file)
    check_md5(Archive("a.tar", "", 1), file)
    with pytest.raises(InputError, match=f"md5 sum {right}, the official one 0000"):
        check_md5(Archive("a.tar", "", 1, "0000"), file)
