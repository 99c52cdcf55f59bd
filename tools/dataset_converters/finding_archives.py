"""Finding a data set's archives, and refusing what is none before work starts."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from zegclip.errors import InputError

from .archives import ArchiveReader
from .description import Archive, DataDescription


def find_archives(
    description: DataDescription, folder: Path, command: str
) -> dict[str, tuple[Archive, Path]]:
    """The archives of a data set in a folder or below it.

    Args:
        description: of the data set.
        folder: where to look; of several files with one name the least deep is taken.
        command: to be repeated when the missing ones are there, for the message.

    Returns:
        By name of the first of each choice: what was found of it.

    Raises:
        InputError: some are missing: names all of them and where to get each.
    """
    if not folder.is_dir():
        get = description.how_to_get()
        raise InputError(f"there is no folder {folder} (--archives)\n{get}")
    wanted = {archive.name for choice in description.archives for archive in choice}
    there: dict[str, Path] = {}
    for parent, folders, files in os.walk(folder):
        folders.sort()
        for name in wanted.intersection(files):
            path = Path(parent, name)
            if name not in there or len(path.parts) < len(there[name].parts):
                there[name] = path
    found, missing = {}, []
    for choice in description.archives:
        best = next((archive for archive in choice if archive.name in there), None)
        if best is None:
            missing.append(choice)
        else:
            found[choice[0].name] = (best, there[best.name])
    if missing:
        raise InputError(_missing(description, missing, folder, command))
    return found


def _missing(
    description: DataDescription,
    missing: Sequence[tuple[Archive, ...]],
    folder: Path,
    command: str,
) -> str:
    lines = [f"{description.title}: {len(missing)} of {len(description.archives)} archives are "
             f"not in {folder} or below it:"]  # fmt: skip
    for first, *others in missing:
        lines.append(f"  {first.name} ({first.gigabytes:g} GB)\n    {first.command(folder)}")
        for other in others:
            lines.append(
                f"  or {other.name} ({other.gigabytes:g} GB), {other.note}\n"
                f"    {other.command(folder)}"
            )
    return "\n".join([*lines, "Then again:", f"  {command}"])


def check_opens(path: Path) -> None:
    """Refuse a file that is not what its name says, by reading its beginning (or directory).

    Raises:
        InputError: see above; also a web page that was saved under the archive's name.
    """
    with path.open("rb") as file:
        start = file.read(512).lstrip()
    if start[:1] == b"<":
        raise InputError(
            f"{path} is a web page, not an archive: the download gave an error page. Delete it and "
            "download again."
        )
    if path.suffix == ".json":
        if start[:1] != b"{":
            raise InputError(f"{path} is not a JSON object. Delete it and download again.")
        return
    with ArchiveReader(path) as reader:
        if next(reader.members(), None) is None:
            raise InputError(f"{path} is empty. Delete it and download again.")


def check_md5(archive: Archive, path: Path) -> None:
    """Compare with the published checksum, where one is known.

    Raises:
        InputError: it is another file; says both sums.
    """
    if not archive.md5:
        return
    with path.open("rb") as file:
        found = _md5(file)
    if found != archive.md5:
        raise InputError(
            f"{path} has the md5 sum {found}, the official one {archive.md5}. Delete it and "
            "download it again."
        )


def _md5(file: IO[bytes]) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    while block := file.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()
