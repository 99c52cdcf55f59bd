"""Archives are found, refused where they are none, and read without trust."""

from __future__ import annotations

import random
import tarfile
from pathlib import Path

import pytest
from dataset_converters import DATA_SETS
from dataset_converters.archives import find_archives, members
from dataset_converters.work import Work

from tests.tools.dataset_converters import official
from zegclip.errors import InputError

CONTENT = {f"{i}.jpg": random.Random(i).randbytes(3000) for i in range(3)}


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tgz"])
def test_members_are_read_and_damage_is_named(tmp_path: Path, suffix: str) -> None:
    archive = official.write_archive(tmp_path / f"a{suffix}", CONTENT | {"folder/": b""})
    chosen = list(members(archive, lambda name, size: size if name in CONTENT else None))
    assert chosen == [(name, 3000, content) for name, content in CONTENT.items()]
    whole = archive.read_bytes()
    damaged = [whole[:8000]]
    if suffix == ".zip":  # has checksums of its members
        damaged.append(whole[:5000] + b"damaged" + whole[5007:])
    for content in damaged:
        archive.write_bytes(content)
        again = r".*repeat the command that downloaded it \(curl -C - goes on"
        with pytest.raises(InputError, match=f"a{suffix} is cut short or corrupt at{again}"):
            list(members(archive, lambda name, size: True))


@pytest.mark.parametrize("suffix", [".zip", ".tar"])
def test_members_lead_nowhere(tmp_path: Path, suffix: str) -> None:
    """Names that lead outside are placed by their pattern's groups; links are passed over."""
    hostile = {"../../a.jpg": b"1", "/etc/b.jpg": b"2", "a/../../x/../c.jpg": b"3"}
    if suffix == ".tar":
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE):
            info = tarfile.TarInfo(f"link{kind.decode()}.jpg")
            info.type, info.linkname = kind, "/etc/passwd"
            hostile[info.name] = info  # type: ignore[assignment]
    archive = official.write_archive(tmp_path / "deep" / f"a{suffix}", hostile)
    Work({}, tmp_path / "deep" / "root").unpack(archive, r"(?:.*/)?(\w+\.jpg)")
    made = [path for path in tmp_path.rglob("*.jpg") if path.is_file()]
    assert {path.relative_to(tmp_path / "deep" / "root").name for path in made} == {
        "a.jpg", "b.jpg", "c.jpg",
    }  # fmt: skip


def test_missing_archives_are_one_message_with_all_commands(tmp_path: Path) -> None:
    folder = tmp_path / "my dl"
    with pytest.raises(InputError, match="2 of 2 archives") as error:
        find_archives(DATA_SETS["context"], folder)
    for name in ("VOCtrainval_03-May-2010.tar", "trainval_merged.json", "trainval.tar.gz"):
        assert f"--create-dirs -o '{folder}/{name}' http" in str(error.value)
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


def test_linked_folders_are_looked_into(tmp_path: Path) -> None:
    official.make_voc(tmp_path / "disk" / "downloads")
    (tmp_path / "archives").mkdir()
    (tmp_path / "archives" / "more").symlink_to(tmp_path / "disk")
    (tmp_path / "disk" / "downloads" / "round").symlink_to(tmp_path / "archives")
    found = find_archives(DATA_SETS["voc"], tmp_path / "archives")
    assert {path.parent for path in found.values()} == {tmp_path / "archives/more/downloads"}


def test_other_files_under_an_archives_name(tmp_path: Path) -> None:
    official.make_voc(tmp_path)
    with pytest.raises(InputError, match="the official one 6cd6e144f989b92b3379bac3b3de84fd"):
        find_archives(DATA_SETS["voc"], tmp_path, checksums=True)
    for key, name in (("ade", "ADEChallengeData2016.zip"), ("voc", "benchmark.tgz")):
        (tmp_path / name).write_text("<!DOCTYPE html><title>404</title>")
        with pytest.raises(InputError, match=f"{name} is not a whole .* It is a web page: delete"):
            find_archives(DATA_SETS[key], tmp_path)
        # A part of one is not thrown away.
        (tmp_path / name).write_bytes(b"PK\3\4 the first bytes")
        with pytest.raises(InputError, match=f"{name} is not a whole .* repeat the command that d"):
            find_archives(DATA_SETS[key], tmp_path)
