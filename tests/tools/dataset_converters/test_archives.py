"""Archives are read without trust."""

from __future__ import annotations

import stat
import tarfile
import zipfile
from pathlib import Path

import pytest
from dataset_converters.archives import ArchiveReader, safe_name
from dataset_converters.finding_archives import check_opens
from dataset_converters.work import Step, Work, check_space
from tests.dataset_converters import official

from zegclip.errors import InputError


def extract(archive: Path, out: Path) -> Work:
    work = Work(official.small("ade"), {}, out)
    work.extraction(archive, lambda name: name, "everything").run()
    return work


@pytest.mark.parametrize("name", ["../x.jpg", "/etc/x.jpg", "a/../../x.jpg", "C:/x", "a\\..\\x"])
def test_names_that_lead_outside_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="outside the target folder"):
        safe_name(name, tmp_path / "a.zip")
    tar = official.write_tar(tmp_path / "in" / "a.tar", {"good.jpg": b"1", name: b"2"})
    with pytest.raises(InputError, match="a.tar: the member .* outside the target folder"):
        extract(tar, tmp_path / "in" / "out")
    assert not list(tmp_path.rglob("*.jpg"))


def test_zip_members_that_lead_outside_are_refused(tmp_path: Path) -> None:
    archive = official.write_zip(tmp_path / "in" / "a.zip", {"ok.jpg": b"", "../x.jpg": b"2"})
    with pytest.raises(InputError, match="outside the target folder"):
        extract(archive, tmp_path / "in" / "out")
    assert not list(tmp_path.rglob("*.jpg"))


def test_links_and_devices_are_refused(tmp_path: Path) -> None:
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE):
        info = tarfile.TarInfo("a.jpg")
        info.type, info.linkname = kind, "/etc/passwd"
        tar = official.write_tar(tmp_path / "a.tar", {"a.jpg": info})
        with pytest.raises(InputError, match="a.jpg is a link or a device"):
            extract(tar, tmp_path / "out")
    link = zipfile.ZipInfo("b.jpg")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(InputError, match="b.jpg is a link or a device"):
        extract(tmp_path / "b.zip", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_extraction_goes_on_and_repairs(tmp_path: Path) -> None:
    members = {f"ADE/{i}.jpg": bytes([i]) * (i + 1) for i in range(4)}
    archive = official.write_zip(tmp_path / "a.zip", members)
    out = tmp_path / "out"
    assert extract(archive, out).tally == {"written": 4}
    root = out / "ade" / "ADEChallengeData2016" / "ADE"
    (root / "1.jpg").unlink()
    (root / "2.jpg").write_bytes(b"2")  # half of it
    before = (root / "3.jpg").stat().st_mtime_ns
    assert extract(archive, out).tally == {"written": 1, "replaced": 1, "there": 2}
    assert {p.name: p.read_bytes() for p in root.iterdir()} == {
        name.removeprefix("ADE/"): content for name, content in members.items()
    }
    assert (root / "3.jpg").stat().st_mtime_ns == before


def test_masks_and_lists_of_the_user_are_kept(tmp_path: Path) -> None:
    theirs, ours = official.png(official.labels(1, 2, 3, 4)), official.png(official.labels(1))
    archive = official.write_zip(
        tmp_path / "a.zip", {"m.png": ours, "half.png": ours, "l.txt": b"a"}
    )
    work = Work(official.small("ade"), {}, tmp_path / "out")
    root = work.root
    root.mkdir(parents=True)
    (root / "m.png").write_bytes(theirs)
    (root / "l.txt").write_text("own\n")
    (root / "half.png").write_bytes(ours[:-20])
    assert extract(archive, tmp_path / "out").tally == {"kept": 2, "replaced": 1}
    assert (root / "m.png").read_bytes() == theirs and (root / "l.txt").read_text() == "own\n"
    assert (root / "half.png").read_bytes() == ours
    forced = Work(official.small("ade"), {}, tmp_path / "out", force=True)
    forced.extraction(archive, lambda name: name, "").run()
    assert (root / "m.png").read_bytes() == ours and (root / "l.txt").read_text() == "a"


def test_cut_short_tar_names_archive_and_member(tmp_path: Path) -> None:
    members = {f"{i}.jpg": bytes(3000) for i in range(3)}
    tar = official.write_tar(tmp_path / "VOCtrainval_11-May-2012.tar", members)
    whole = tar.read_bytes()
    tar.write_bytes(whole[: 2 * 3584 + 600])  # within the third member
    with pytest.raises(InputError) as error:
        extract(tar, tmp_path / "out")
    message = str(error.value)
    assert "VOCtrainval_11-May-2012.tar is cut short or corrupt after 2.jpg" in message
    assert "about 2 GB, md5 6cd6e144f989b92b3379bac3b3de84fd" in message
    assert "Download it again" in message
    tar.write_bytes(whole[: 3584 + 100])  # within the second header
    with pytest.raises(InputError, match="cut short or corrupt after 0.jpg"):
        extract(tar, tmp_path / "out")
    damaged = bytearray(whole)
    damaged[3584:3700] = b"x" * 116
    tar.write_bytes(damaged)
    with pytest.raises(InputError, match="cut short or corrupt after 0.jpg"):
        extract(tar, tmp_path / "out")


def test_cut_short_tgz(tmp_path: Path) -> None:
    import random

    noise = random.Random(0).randbytes(50_000)
    tar = official.write_tar(tmp_path / "a.tgz", {"a.jpg": noise, "b.jpg": noise[::-1]})
    tar.write_bytes(tar.read_bytes()[:70_000])
    with pytest.raises(InputError, match="a.tgz is cut short or corrupt"):
        extract(tar, tmp_path / "out")


def test_cut_short_and_corrupt_zip(tmp_path: Path) -> None:
    archive = official.write_zip(tmp_path / "a.zip", {"a.jpg": b"a" * 999, "b.jpg": b"b" * 999})
    whole = archive.read_bytes()
    archive.write_bytes(whole[:1200])
    with pytest.raises(InputError, match="a.zip is cut short or corrupt"):
        check_opens(archive)
    archive.write_bytes(whole.replace(b"b" * 999, b"c" + b"b" * 998))
    check_opens(archive)
    with pytest.raises(InputError, match="corrupt in b.jpg .*CRC"):
        extract(archive, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").rglob("*") if path.is_file()] == ["a.jpg"]


def test_too_small_a_disk_is_said_before(tmp_path: Path) -> None:
    steps = [Step("a", 2_000_000_000, lambda: None), Step("b", 500_000_000, lambda: None)]
    check_space(steps, tmp_path / "not" / "there", free=2_500_000_000)
    with pytest.raises(InputError, match="needs 2.5 GB more, but its disk has 1.0 GB free"):
        check_space(steps, tmp_path / "not" / "there", free=1_000_000_000)


def test_members_are_streamed_in_order(tmp_path: Path) -> None:
    tar = official.write_tar(tmp_path / "a.tgz", {"./x/a": b"1", "b": b"22"})
    with ArchiveReader(tar) as reader:
        found = [(member.name, member.size, reader.read(info)) for member, info in reader.members()]
    assert found == [("x/a", 1, b"1"), ("b", 2, b"22")]
