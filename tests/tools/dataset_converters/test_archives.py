"""Archives are found, refused where they are none, and read without trust."""

from __future__ import annotations

import random
import tarfile
from pathlib import Path

import pytest
from dataset_converters import DATA_SETS
from dataset_converters.archives import find_archives, members

from tests.tools.dataset_converters import official
from zegclip.errors import InputError

CONTENT = {f"{i}.jpg": random.Random(i).randbytes(3000) for i in range(3)}


def read_all(archive: Path) -> dict[str, bytes]:
    return {name: content for name, _, content in members(archive, lambda name, size: True)}


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tgz"])
class TestMembers:
    def test_are_read_in_order(self, tmp_path: Path, suffix: str) -> None:
        archive = official.write_archive(tmp_path / f"a{suffix}", {"folder/": b""} | CONTENT)
        assert {n: c for n, c in read_all(archive).items() if n in CONTENT} == CONTENT
        chosen = list(members(archive, lambda name, size: size if name == "1.jpg" else None))
        assert chosen == [("1.jpg", 3000, CONTENT["1.jpg"])]

    @pytest.mark.parametrize("name", ["../x.jpg", "/etc/x.jpg", "a/../../x.jpg"])
    def test_that_lead_outside_are_refused(self, tmp_path: Path, suffix: str, name: str) -> None:
        archive = official.write_archive(tmp_path / f"a{suffix}", {"x.jpg": b"1", name: b"2"})
        with pytest.raises(InputError, match=f"a{suffix}: the member '{name}' leads outside"):
            read_all(archive)

    def test_of_a_damaged_archive(self, tmp_path: Path, suffix: str) -> None:
        archive = official.write_archive(tmp_path / f"a{suffix}", CONTENT)
        whole = archive.read_bytes()
        archive.write_bytes(whole[:8000])
        with pytest.raises(InputError, match=f"a{suffix} is cut short or corrupt at"):
            read_all(archive)
        archive.write_bytes(whole[:5000] + b"damaged" + whole[5007:])
        if suffix == ".zip":  # has checksums of its members
            with pytest.raises(InputError, match=f"a{suffix} is cut short or corrupt at 1.jpg"):
                read_all(archive)


def test_links_and_devices_are_passed_over(tmp_path: Path) -> None:
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE):
        info = tarfile.TarInfo("a.jpg")
        info.type, info.linkname = kind, "/etc/passwd"
        assert read_all(official.write_archive(tmp_path / "a.tar", {"a.jpg": info})) == {}


def test_missing_archives_are_one_message_with_all_commands(tmp_path: Path) -> None:
    folder = tmp_path / "my dl"
    with pytest.raises(InputError) as error:
        find_archives(DATA_SETS["context"], folder)
    message = str(error.value)
    assert "2 of 2 archives" in message
    for name in ("VOCtrainval_03-May-2010.tar", "trainval_merged.json", "trainval.tar.gz"):
        assert f"--create-dirs -o '{folder}/{name}' http" in message
    official.make_context(folder)
    (folder / "trainval_merged.json").unlink()
    with pytest.raises(InputError, match="1 of 2 archives") as error:
        find_archives(DATA_SETS["context"], folder)
    assert "VOCtrainval" not in str(error.value)


def test_archives_are_found_below_the_folder_and_the_json_is_preferred(tmp_path: Path) -> None:
    official.make_context(tmp_path / "a" / "b")
    official.make_context(tmp_path / "c", matlab=True)
    found = find_archives(DATA_SETS["context"], tmp_path)
    assert found == {
        "VOCtrainval_03-May-2010.tar": tmp_path / "c" / "VOCtrainval_03-May-2010.tar",
        "trainval_merged.json": tmp_path / "a" / "b" / "trainval_merged.json",
    }
    found["trainval_merged.json"].unlink()
    assert "trainval.tar.gz" in find_archives(DATA_SETS["context"], tmp_path)


def test_checksums_are_compared(tmp_path: Path) -> None:
    official.make_voc(tmp_path)
    with pytest.raises(InputError, match="the official one 6cd6e144f989b92b3379bac3b3de84fd"):
        find_archives(DATA_SETS["voc"], tmp_path, checksums=True)


@pytest.mark.parametrize(
    "name", ["ADEChallengeData2016.zip", "benchmark.tgz", "trainval_merged.json"]
)
def test_an_error_page_under_an_archives_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("<!DOCTYPE html><title>404</title>")
    key = {"A": "ade", "b": "voc", "t": "context"}[name[0]]
    with pytest.raises(InputError, match=f"{name} is not a .* file: .* an error page"):
        find_archives(DATA_SETS[key], tmp_path)
