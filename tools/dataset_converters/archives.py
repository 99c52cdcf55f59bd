"""Reading zip and tar files of strangers safely."""

from __future__ import annotations

import gzip
import lzma
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, TypeAlias

from zegclip.errors import InputError

# What names a member to its reader.
Info: TypeAlias = zipfile.ZipInfo | tarfile.TarInfo
# What the readers of the standard library raise for files that are cut short or corrupt.
BROKEN = (
    zipfile.BadZipFile,
    tarfile.TarError,
    gzip.BadGzipFile,
    lzma.LZMAError,
    zlib.error,
    EOFError,
    NotImplementedError,  # a zip member with a method of compression that there is not
)


@dataclass(frozen=True)
class Member:
    """A regular file in an archive.

    Attributes:
        name: its path, with slashes, without a leading ``./``.
        size: bytes, unpacked.
        plain: whether it is a regular file; links and devices are not.
    """

    name: str
    size: int
    plain: bool = True


class ArchiveReader:
    """A zip or tar file: its members, and each member's content.

    Args:
        path: the archive.

    Raises:
        InputError: it is neither, is cut short, or a member's name leads outside.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._zip: zipfile.ZipFile | None = None
        self._tar: tarfile.TarFile | None = None
        with explained(path):
            if path.suffix == ".zip":
                self._zip = zipfile.ZipFile(path)
            else:
                self._tar = tarfile.open(path)

    def __enter__(self) -> ArchiveReader:
        return self

    def __exit__(self, *_: object) -> None:
        for opened in (self._zip, self._tar):
            if opened is not None:
                opened.close()

    def members(self) -> Iterator[tuple[Member, Info]]:
        """Every member but folders, in the file's order, and what :meth:`open` takes."""
        last = ""
        try:
            for info in self._infos():
                last = info.filename if isinstance(info, zipfile.ZipInfo) else info.name
                name = safe_name(last, self.path)
                if isinstance(info, zipfile.ZipInfo):
                    kind = stat.S_IFMT(info.external_attr >> 16)
                    if not info.is_dir():
                        yield Member(name, info.file_size, kind in (0, stat.S_IFREG)), info
                elif not info.isdir():
                    yield Member(name, info.size, info.isreg()), info
        except BROKEN as error:
            raise broken(self.path, error, f"after {last}" if last else "") from error

    def _infos(self) -> Iterator[Info]:
        if self._zip is not None:
            yield from self._zip.infolist()
        elif self._tar is not None:
            yield from self._tar
            self._check_end()

    def _check_end(self) -> None:
        """tarfile takes a header that is corrupt or cut short for the end of the archive."""
        assert self._tar is not None
        if self.path.suffix != ".tar":  # compressed ones have checksums of their own
            return
        with self.path.open("rb") as file:
            file.seek(self._tar.offset)
            block = file.read(tarfile.BLOCKSIZE)
        if block.strip(b"\0") or 0 < len(block) < tarfile.BLOCKSIZE:
            raise tarfile.ReadError("the next header cannot be read")

    @contextmanager
    def open(self, info: Info) -> Iterator[IO[bytes]]:
        """A member's content; what is wrong with it is said with the member's name."""
        name = info.filename if isinstance(info, zipfile.ZipInfo) else info.name
        with explained(self.path, name):
            if isinstance(info, zipfile.ZipInfo):
                assert self._zip is not None
                with self._zip.open(info) as file:
                    yield file
            else:
                assert self._tar is not None
                extracted = self._tar.extractfile(info)
                if extracted is None:
                    raise InputError(f"{self.path}: {name} is not a regular file")
                with extracted as file:
                    yield file

    def read(self, info: Info) -> bytes:
        """All of a member's content."""
        with self.open(info) as file:
            content = file.read()
        size = info.file_size if isinstance(info, zipfile.ZipInfo) else info.size
        if len(content) != size:
            name = info.filename if isinstance(info, zipfile.ZipInfo) else info.name
            raise broken(self.path, EOFError("unexpected end of data"), f"in {name}")
        return content

    def read_named(self, pattern: str) -> bytes | None:
        """The content of the first member whose whole name fits a regular expression."""
        for member, info in self.members():
            if member.plain and re.fullmatch(pattern, member.name):
                return self.read(info)
        return None


def safe_name(name: str, archive: Path) -> str:
    """A member's name without ``./``.

    Raises:
        InputError: it is absolute, climbs with ``..`` or holds what some system takes for a
            path: nothing of such an archive is trusted.
    """
    path = PurePosixPath(name)
    unsafe = path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name
    if unsafe or re.match(r"[A-Za-z]:", name):
        raise InputError(
            f"{archive}: the member {name!r} would be written outside the target folder. The "
            "official archive has no such member; delete this file and download it again."
        )
    return str(path)


def broken(path: Path, error: BaseException, where: str = "") -> InputError:
    """The message for an archive that cannot be read to its end."""
    reason = str(error) or type(error).__name__
    size = path.stat().st_size / 1e9 if path.is_file() else 0.0
    return InputError(
        f"{path} is cut short or corrupt{f' {where}' if where else ''} ({reason}). It has "
        f"{size:.3f} GB{_expected(path.name)}. Download it again (`curl -C -` goes on where a "
        "download ended; if the size is right already, delete the file first), then repeat the "
        "command: what is prepared already is kept."
    )


@contextmanager
def explained(path: Path, member: str = "") -> Iterator[None]:
    """Turn the readers' exceptions into one message that names archive and member."""
    try:
        yield
    except BROKEN as error:
        raise broken(path, error, f"in {member}" if member else "") from error


def _expected(name: str) -> str:
    from . import DATA_SETS  # the registry imports the data sets, which import this module

    for description in DATA_SETS.values():
        for archive in (archive for choice in description.archives for archive in choice):
            if archive.name == name:
                md5 = f", md5 {archive.md5}" if archive.md5 else ""
                return f"; the official one has about {archive.gigabytes:g} GB{md5}"
    return ""
