"""Finding the files that lists name, in few system calls."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

from mmengine.fileio import list_dir_or_file

from zegclip.errors import InputError


def read_names(path: str | Path) -> list[str]:
    """The lines of a text file, stripped, without blank ones and a byte-order mark.

    Raises:
        InputError: there is no such file, or it is not UTF-8.
    """
    if not Path(path).is_file():
        raise InputError(f"there is no list of names {path}")
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 ({error}): save it with this encoding") from None
    return [line.strip() for line in text.splitlines() if line.strip()]


def names_in(folder: str, suffixes: Sequence[str]) -> list[str]:
    """Files of a folder and below, sorted, without their suffixes.

    Raises:
        InputError: two files differ only in the suffix, and one of them would be left out.
    """
    longest = sorted(suffixes, key=len, reverse=True)
    files: dict[str, str] = {}
    for file in list_dir_or_file(folder, list_dir=False, suffix=tuple(suffixes), recursive=True):
        name = file.removesuffix(next(s for s in longest if file.endswith(s)))
        if name in files:
            raise InputError(
                f"{folder} holds {' and '.join(sorted([files[name], file]))}, two images of one "
                "name: rename one, or set img_suffix to the suffix that counts"
            )
        files[name] = file
    return sorted(files)


def find_files(
    names: Iterable[str], folders: Sequence[str], suffixes: Sequence[str]
) -> list[str | None]:
    """Of each name the first ``folder/name + suffix`` that exists, or ``None``.

    Each folder is listed once: ten thousand files cost milliseconds. Names may hold folders.
    """

    @cache
    def listed(folder: str) -> set[str]:
        return set(os.listdir(folder)) if os.path.isdir(folder) else set()

    def exists(path: str) -> bool:
        folder, file = os.path.split(path)
        return file in listed(folder)

    return [
        next(filter(exists, (os.path.join(f, name + s) for f in folders for s in suffixes)), None)
        for name in names
    ]


def first_few(names: Sequence[str]) -> str:
    """The first five names, and how many more there are."""
    rest = len(names) - 5
    return ", ".join(names[:5]) + (f" and {rest} more" if rest > 0 else "")
