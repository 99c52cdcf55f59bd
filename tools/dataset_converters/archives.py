"""Find archives, and read zip and tar files without trusting them."""

from __future__ import annotations

import hashlib
import os
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import TypeVar

import rich.progress

from zegclip.errors import InputError

from .data_set import Archive, DataSet

T = TypeVar("T")


def find_archives(data_set: DataSet, folder: Path, checksums: bool = False) -> dict[str, Path]:
    """The archives of a data set by name, in a folder or below it (the least deep of each name).

    Linked folders are looked into.

    Raises:
        InputError: some are missing (names all of them and how to get each), or a file is not
            what its name says.
    """
    found: dict[str, Path] = {}
    missing = []
    files = sorted(_files(folder), key=lambda path: len(path.parts))
    for archive in data_set.archives:
        for choice in filter(None, (archive, archive.instead)):
            if path := next((path for path in files if path.name == choice.name), None):
                _check(choice, path, checksums)
                found[choice.name] = path
                break
        else:
            missing.append(archive.download(folder))
    if missing:
        raise InputError(
            f"{data_set.title}: {len(missing)} of {len(data_set.archives)} archives are not in "
            f"{folder} or below it. Download what is missing, then repeat this command:\n"
            + "\n".join(missing)
        )
    return found


def _files(folder: Path) -> Iterator[Path]:
    seen = set()  # a link may lead to a folder above it
    for root, folders, names in os.walk(folder, followlinks=True):
        if (real := os.path.realpath(root)) in seen:
            folders.clear()
        else:
            seen.add(real)
            yield from filter(Path.is_file, (Path(root, name) for name in names))


def _check(archive: Archive, path: Path, checksums: bool) -> None:
    # (A JSON that is cut short is found when it is read, which is before anything is written.)
    opens = {".zip": zipfile.is_zipfile, ".json": Path.is_file}.get(path.suffix, tarfile.is_tarfile)
    if not opens(path):
        raise InputError(f"{path} is not a whole {path.suffix[1:]} file. {how_to_repair(path)}.")
    if not checksums or not archive.md5:
        return
    digest = hashlib.md5(usedforsecurity=False)
    with rich.progress.open(path, "rb", description=f"md5 of {path.name}") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    if digest.hexdigest() != archive.md5:
        raise InputError(
            f"{path} has the md5 sum {digest.hexdigest()}, the official one {archive.md5}. "
            f"{how_to_repair(path)}."
        )


def how_to_repair(path: Path) -> str:
    """What to do about a file that is not the archive which its name says, for messages."""
    with path.open("rb") as file:
        if file.read(64).lstrip().startswith(b"<"):
            return "It is a web page: delete it and download it again"
    return (
        "If it is cut short, repeat the command that downloaded it (curl -C - goes on where it "
        "stopped); else delete it first"
    )


def members(path: Path, choose: Callable[[str, int], T | None]) -> Iterator[tuple[str, T, bytes]]:
    """Read regular files in an archive, in its order, with a progress bar. Nothing is written.

    Args:
        path: a zip file, or a tar file of any compression.
        choose: what a member of this name and size in bytes is for; ``None``: it is not read.

    Yields:
        Name, what was chosen and content.

    Raises:
        InputError: the archive is cut short or corrupt.
    """
    last = "its beginning"
    try:
        with rich.progress.open(path, "rb", description=path.name) as file:
            if path.suffix == ".zip":
                with zipfile.ZipFile(file) as archive:
                    for entry in archive.infolist():
                        last = entry.filename
                        if chosen := choose(last, entry.file_size):
                            yield last, chosen, archive.read(entry)
            else:
                with tarfile.open(fileobj=file) as tar:
                    for member in filter(tarfile.TarInfo.isreg, tar):
                        last = member.name
                        if chosen := choose(last, member.size):
                            yield last, chosen, tar.extractfile(member).read()  # type: ignore[union-attr]
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise InputError(
            f"{path} is cut short or corrupt at {last} ({error}). {how_to_repair(path)}. Then "
            "repeat this command: what is prepared already is kept."
        ) from error


def read_lists(path: Path, pattern: str) -> dict[str, list[str]]:
    """The words of the text files whose whole member names fit, by file name without suffix.

    Raises:
        InputError: there is no such member: it is another archive.
    """
    found = {
        PurePosixPath(name).stem: content.decode("utf-8", "replace").split()
        for name, _, content in members(path, lambda name, _: re.fullmatch(pattern, name))
    }
    if not found:
        raise another_archive(path)
    return found


def another_archive(path: Path) -> InputError:
    """The error for an archive that can be read but holds nothing of the data set."""
    return InputError(
        f"{path} is another archive under this name: nothing of the data set is in it. Delete it "
        "and download it again."
    )
